#!/usr/bin/env bash
# Set up what the Makefile's targets need: system programs, then a virtual environment with hash-pinned packages.
#   setup.sh run|test PYTHON VENV LOCKFILE
# As root the programs are installed by apt-get; otherwise the exact command to type is printed.
set -euo pipefail
purpose=$1 python=$2 venv=$3 lock=$4
export PATH=$PATH:/usr/sbin:/sbin

# program -> Debian package
declare -A packages=([iperf3]=iperf3 [ip]=iproute2 [tc]=iproute2 [iptables-nft-restore]=iptables [nft]=nftables
  [bpftool]=bpftool [ethtool]=ethtool [nsenter]=util-linux [unshare]=util-linux [setpriv]=util-linux [column]=bsdextrautils)
if [ "$purpose" = test ]; then packages+=([chromium]=chromium [clang]=clang [llvm-objdump]=llvm); fi

wanted=()
for program in "${!packages[@]}"; do
  command -v "$program" >/dev/null || wanted+=("${packages[$program]}")
done
"$python" -c 'import ensurepip, venv' 2>/dev/null || wanted+=(python3-venv)
if [ "$purpose" = test ] && ! [ -e /usr/include/bpf/bpf_helpers.h ]; then wanted+=(libbpf-dev); fi

if [ ${#wanted[@]} -gt 0 ]; then
  mapfile -t wanted < <(printf '%s\n' "${wanted[@]}" | sort -u)
  install="apt-get install --yes --no-install-recommends ${wanted[*]}"
  if ! command -v apt-get >/dev/null; then
    echo "These programs are missing: ${wanted[*]} (Debian's names). Install them with this system's package manager." >&2
    exit 2
  elif [ "$(id -u)" = 0 ]; then
    echo "Installing: ${wanted[*]}"
    { apt-get update && DEBIAN_FRONTEND=noninteractive $install; } >/tmp/dataplane-benchmark-apt.log 2>&1 || {
      tail -n 5 /tmp/dataplane-benchmark-apt.log >&2
      echo "apt-get could not install: ${wanted[*]}. Its output is in /tmp/dataplane-benchmark-apt.log." >&2
      exit 2
    }
  elif [ "$purpose" = test ]; then
    echo "Some tests will be skipped. To run them all, type: sudo $install" >&2
  else
    echo "Programs are missing. Type this, then try again: sudo $install" >&2
    exit 2
  fi
fi

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "Python 3.11 or newer is needed, and $python is $("$python" --version). Name another: make PYTHON=python3.12 ..." >&2
  exit 2
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "Installing Python packages into $venv from $lock (once)."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement "$lock"
