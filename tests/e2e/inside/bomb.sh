exec python3 -c '
import os, sys, time
count = 0
while True:
    try:
        pid = os.fork()
    except OSError:
        break
    if pid == 0:
        time.sleep(600)
        os._exit(0)
    count += 1
print("refused after", count, flush=True)
sys.exit(4)
'
