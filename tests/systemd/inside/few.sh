# A few lines, then whether a program can reach journald itself.
seq -f 'number %.0f' 1 20
if [ -e /run/systemd/journal/socket ] || [ -e /dev/log ]; then echo "journald is within reach"; else echo "journald is out of reach"; fi
exit 3
