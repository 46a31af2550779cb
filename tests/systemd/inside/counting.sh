# Counts until it is told to end: USR1 with exit code 7, TERM as a program does that saves its work.
trap 'echo "ended after $i"; exit 7' USR1
trap 'echo "saved at $i"; exit 0' TERM
i=0
while :; do
  i=$((i + 1))
  echo "line $i"
  sleep 0.1
done
