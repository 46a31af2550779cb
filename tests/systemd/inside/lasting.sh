# The shim lives long enough for journald to look at it.
echo lasting
sleep 1
