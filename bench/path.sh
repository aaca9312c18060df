#!/bin/sh
# The packet path alone, two namespaces and one veth: bare veth, then path_driver at both ends; rate and ping of each.
#   sudo bench/path.sh [BUILD_DIR] [udp|esp|clear] [gcm128|gcm256|cbc|chacha] [WORKERS] [SECONDS]
# HOLD=1 keeps the tunnel up until a line is read from standard input, for perf.
set -eu
build=${1:-build/release} how=${2:-udp} suite=${3:-gcm128} workers=${4:-1} seconds=${5:-5}
driver=$(find "$build" -name path_driver -type f | head -1)
a=adit-path-a-$$ b=adit-path-b-$$ pids=

finish() {
  for pid in $pids; do kill "$pid" 2>/dev/null && { wait "$pid" || true; }; done
  ip netns del $a 2>/dev/null || true
  ip netns del $b 2>/dev/null || true
}
trap finish EXIT INT TERM

ip netns add $a
ip netns add $b
ip -n $a link add veth0 type veth peer name veth0 netns $b
ip -n $a addr add 192.0.2.1/24 dev veth0
ip -n $b addr add 192.0.2.2/24 dev veth0
for n in $a $b; do
  ip -n "$n" link set lo up
  ip -n "$n" link set veth0 up
done

cpu_ticks() {  # of the drivers, user and system
  sum=0
  for pid in $pids; do sum=$((sum + $(awk '{print $14 + $15}' "/proc/$pid/stat"))); done
  echo $sum
}

measure() {  # address, label
  ip netns exec $b iperf3 -s -1 >/dev/null 2>&1 &
  server=$!
  sleep 0.3
  before=$(cpu_ticks)
  rate=$(ip netns exec $a iperf3 -c "$1" -t "$seconds" -f g | awk '/receiver/ {print $7, $8}')
  after=$(cpu_ticks)
  wait $server || true
  round=$(ip netns exec $a ping -n -q -i 0.002 -c 300 "$1" | awk -F/ '/rtt/ {print $4, $5, $6}' | sed 's/.*= //')
  echo "$2: TCP $rate; ping min avg max $round ms; drivers' CPU $(((after - before) * 10)) ms in $seconds s"
}

measure 192.0.2.2 "bare veth"
ip netns exec $a "$driver" path0 192.0.2.1 192.0.2.2 "$how" "$suite" "$workers" &
pids="$pids $!"
ip netns exec $b "$driver" path0 192.0.2.2 192.0.2.1 "$how" "$suite" "$workers" &
pids="$pids $!"
sleep 1.5
ip -n $a addr add 10.0.0.1 peer 10.0.0.2 dev path0
ip -n $b addr add 10.0.0.2 peer 10.0.0.1 dev path0
ip netns exec $a ping -n -q -c 1 -w 3 10.0.0.2 >/dev/null
measure 10.0.0.2 "$how $suite, workers $workers"
if [ -n "${HOLD:-}" ]; then
  echo "namespaces $a $b; pids$pids"
  read -r _
fi
