seq -f 'number %.0f' 1 200000
