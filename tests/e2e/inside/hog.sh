echo "the last word"
python3 -c 'x = bytearray(400 << 20)'
echo survived
