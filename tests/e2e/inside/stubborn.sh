# Has nothing to say to those who ask it to end.
trap 'echo deaf' TERM
while :; do
  sleep 1
done
