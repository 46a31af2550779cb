#!/usr/bin/env bash
# clearmld on a whole machine: a Debian with a kernel, systemd and the cgroup controllers of its own boots in qemu,
# without a network; inside/main.py installs the package there and says, behaviour by behaviour, what holds.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
usage='usage: run.sh DEB CLEARMLD SHIM-TESTS SANDBOX-TESTS CACHE'
deb=${1:?$usage}
# The ClearML server of the test is a clearmld --local that no package manager knows.
clearmld=${2:?$usage}
# Those that need cgroup controllers.
tests=${3:?$usage}
# Those that try to get out of a sandbox.
escapes=${4:?$usage}
cache=${5:?$usage}
# A run takes half of this on two slow cores without virtualisation.
limit=${E2E_LIMIT:-1200}
memory=${E2E_MEMORY:-2560}

"$repository/tests/prepare/host.sh" e2e
image=$("$here/image.sh" "$cache")
wheels=$("$here/wheels.sh" "$cache")

scratch=$(mktemp -d "$cache/run.XXXXXX")
reader= machine=
finish() {
  status=$?
  # Its end ends the machine, too.
  [ -z "$machine" ] || kill -KILL "$machine" 2>/dev/null || true
  [ -z "$reader" ] || kill "$reader" 2>/dev/null || true
  rm -rf "$scratch"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

# The disk that travels in: read-only in the guest, at /check.
check=$scratch/check
mkdir -p "$check/bin"
install -m 0644 -t "$check" "$here"/inside/* "$repository/docs/security.md" \
  "$repository"/tests/systemd/inside/{host.py,runs.py,gpus.py,escape.py,counting.sh}
cp -a "$wheels/wheels" "$check/wheels"
install -m 0755 "$wheels/uv" "$check/bin/uv"
install -m 0755 -t "$check/bin" "$clearmld" "$(dirname "$tests")/../clearmld-shim"
install -m 0755 "$tests" "$check/bin/shim-tests"
install -m 0755 "$escapes" "$check/bin/sandbox-tests"
# An emulated disk is slow, and nobody looks at their symbols.
strip "$check"/bin/{clearmld,clearmld-shim,shim-tests,sandbox-tests}
install -m 0644 "$deb" "$check/clearmld.deb"
mkdir "$check/nvml"
cc -shared -fPIC -o "$check/nvml/libnvidia-ml.so.1" "$repository/tests/nvml/stub.c"
cp "$repository/tests/nvml/two.conf" "$check/nvml/two.conf"
"$here/newer.sh" "$deb" "$check/newer.deb"
"$here/repository.sh" "$check/repository.git"
chmod -R a+rX "$check"
truncate -s 1G "$scratch/check.img"
mke2fs -q -t ext4 -L check -m 0 -d "$check" "$scratch/check.img"
rm -rf "$check"

# An openable /dev/kvm is not enough: without these flags it is a paravirtual one, under which no stock kernel boots.
if [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; then
  processor=(-accel kvm -cpu host)
else
  processor=(-accel tcg,thread=multi -cpu max)
fi
: >"$scratch/out"
tail --pid=$$ -n +1 -s 0.2 -F "$scratch/out" 2>/dev/null &
reader=$!
began=$(date +%s)
# One process for all boots: what the guest writes goes to a layer that lives as long as it.
setpriv --pdeathsig KILL timeout --kill-after=10 "$limit" \
  setpriv --pdeathsig KILL qemu-system-x86_64 "${processor[@]}" \
  -machine q35 -smp 2 -m "$memory" -nodefaults -no-user-config -display none -nic none \
  -kernel "$image/vmlinuz" -initrd "$image/initrd.img" \
  -append "root=LABEL=root rw console=ttyS0 panic=-1 mitigations=off quiet systemd.show_status=0" \
  -drive "file=$image/root.img,format=raw,if=virtio,snapshot=on,cache=unsafe" \
  -drive "file=$scratch/check.img,format=raw,if=virtio,readonly=on" \
  -device virtio-rng-pci -device virtio-serial-pci \
  -chardev "file,id=output,path=$scratch/out,append=on" -device virtserialport,chardev=output,name=output \
  -serial "file:$scratch/console" </dev/null &
machine=$!
wait "$machine" || true
machine=
sleep 0.5
took=$(($(date +%s) - began))

if [ "$(tail -n 1 "$scratch/out")" = "end ok" ]; then
  held=$(grep -c '^ok ' "$scratch/out") boots=$(grep -c '^# boot ' "$scratch/out")
  echo "booted: all $held behaviours hold ($took s, $boots boots)"
else
  echo "the machine's console ended with:" >&2
  tail -n 15 "$scratch/console" >&2 || true
  echo "booted: FAILED after $took s; $(grep -c '^ok ' "$scratch/out" || true) behaviours held before" >&2
  exit 1
fi
