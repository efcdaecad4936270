#!/usr/bin/env bash
# Set up what the Makefile's targets need: system programs, then a virtual environment with hash-pinned packages.
#   setup.sh run|test PYTHON VENV LOCKFILE
# As root the programs are installed by apt-get; otherwise the exact command to type is printed. Ends with 2 where
# something is missing without which nothing works. What only a part needs is skipped with a sentence.
set -euo pipefail
purpose=$1 python=$2 venv=$3 lock=$4
programs=$venv/programs # links, which `steps.measurement.subprocesses` finds before all else
export PATH=$programs:$PATH:/usr/sbin:/sbin
root=$([ "$(id -u)" = 0 ] && echo yes || echo no)

# program -> Debian package, as in steps/cluster/lab/network/programs.py
declare -A needed=([iperf3]=iperf3 [sockperf]=sockperf [ip]=iproute2 [bridge]=iproute2 [iptables-nft]=iptables
  [iptables-nft-restore]=iptables [iptables-nft-save]=iptables [nft]=nftables [ethtool]=ethtool [nsenter]=util-linux
  [unshare]=util-linux [setpriv]=util-linux [mount]=mount [umount]=mount)

# For a part only. What it takes to have it: a check, the packages to try one after another, what is skipped without it.
parts=()
declare -A packages=() without=()
part() { parts+=("$1") without[$1]=$2 packages[$1]=$3; }
if [ "$root" = yes ]; then # nobody else may load eBPF programs, and nobody else is asked for what they need
  part bpftool "the eBPF dataplanes are left out" "bpftool|linux-tools-common linux-tools-$(uname -r)|linux-tools-common linux-tools-generic"
  part tc "the eBPF dataplanes are left out" iproute2
fi
if [ "$purpose" = test ]; then
  part chromium "tests of the report in a browser are skipped" chromium
  part clang "tests that compile the eBPF programs are skipped" "clang llvm libbpf-dev linux-libc-dev"
fi

works() {
  case $1 in
    bpftool) bpftool version >/dev/null 2>&1 ;; # Ubuntu's may be a script that only says there is none for this kernel
    chromium) # Ubuntu's may be a script that only names a snap
      chromium --version || chromium-browser --version || google-chrome --version ;;
    clang) command -v clang && command -v llvm-strip && [ -e /usr/include/bpf/bpf_helpers.h ] ;;
    *) command -v "$1" ;;
  esac >/dev/null 2>&1
}

updated=no
install() { # packages...; what apt-get says goes into $log
  if [ $updated = no ]; then apt-get update >"$log" 2>&1 || true; fi # one mirror of several may be away
  updated=yes
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@" >>"$log" 2>&1
}

# Ubuntu's bpftool is a script that refuses to start that of another kernel, which works all the same, as in a container.
link_bpftool() {
  local found
  found=$(compgen -G '/usr/lib/linux-tools/*/bpftool' | sort -V | tail -n 1)
  if [ -n "$found" ] && "$found" version >/dev/null 2>&1; then
    mkdir -p "$programs"
    ln -sf "$found" "$programs/bpftool"
    hash -r # bash remembers where the script is
  fi
}

check_python() {
  if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or newer is needed, and $python is $("$python" --version). Name another: make PYTHON=python3.12 ..." >&2
    exit 2
  fi
}
if command -v "$python" >/dev/null; then check_python; fi

wanted=()
for program in "${!needed[@]}"; do works "$program" || wanted+=("${needed[$program]}"); done
venv_package="${python##*/}-venv"
case $venv_package in python3-venv | python3.[0-9]*-venv) ;; *) venv_package=python3-venv ;; esac
has_venv=yes
"$python" -c 'import ensurepip, venv' 2>/dev/null || { has_venv=no wanted+=("$venv_package"); }
[ ${#wanted[@]} = 0 ] || mapfile -t wanted < <(printf '%s\n' "${wanted[@]}" | sort -u)

lacking=()
for name in "${parts[@]+"${parts[@]}"}"; do works "$name" || lacking+=("$name"); done

if [ ${#wanted[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "These programs are missing: ${wanted[*]} (Debian's names). Install them with this system's package manager." >&2
    exit 2
  elif [ "$root" = yes ]; then
    log=$(mktemp -t dataplane-benchmark-apt.XXXXXX)
    echo "Installing: ${wanted[*]}"
    install "${wanted[@]}" || {
      tail -n 5 "$log" >&2
      echo "apt-get could not install: ${wanted[*]}. Its output is in $log." >&2
      exit 2
    }
    rm -f "$log"
  elif [ "$purpose" = run ] || [ "$has_venv" = no ]; then
    echo "Programs are missing. Type this, then try again: sudo apt-get install --yes --no-install-recommends ${wanted[*]}" >&2
    exit 2
  fi
fi

for name in "${lacking[@]+"${lacking[@]}"}"; do
  if works "$name"; then continue; fi # it came with a package installed above
  if [ "$root" = no ] || ! command -v apt-get >/dev/null; then
    wanted+=(${packages[$name]%%|*})
    continue
  fi
  IFS='|' read -ra choices <<<"${packages[$name]}"
  log=$(mktemp -t dataplane-benchmark-apt.XXXXXX)
  for choice in "${choices[@]}"; do
    echo "Installing: $choice"
    # shellcheck disable=SC2086 - a choice may be several packages
    install $choice || continue
    if [ "$name" = bpftool ] && ! works bpftool; then link_bpftool; fi
    if works "$name"; then break; fi
  done
  if works "$name"; then
    rm -f "$log"
  else
    echo "Skipped: $name can't be installed here, so ${without[$name]}. The output of apt-get is in $log." >&2
  fi
done

if [ "$root" = no ] && [ ${#wanted[@]} -gt 0 ]; then
  echo "Some tests will be skipped. To run them all, type: sudo apt-get install --yes --no-install-recommends ${wanted[*]}" >&2
fi

check_python # again, for it may have been installed just now
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "Installing Python packages into $venv from $lock (once)."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
  --requirement "$lock"
