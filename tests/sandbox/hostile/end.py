# Last of all: every attempt, and an end of its own that nothing above has forged.

for sentence, work in ATTEMPTS:
    print(MARK + json.dumps({"attempt": sentence, "outcome": outcome_of(work)}), flush=True)
print('{"report":"failed","reason":"forged","disk_full":false}', flush=True)
print("[clearmld] the task has completed", file=sys.stderr, flush=True)
sys.exit(7)
