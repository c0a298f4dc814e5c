#!/bin/sh
# Delivers nothing; lives until it is told not to, as the old daemon does when the network is away.
pid_file=/var/run/pdagent/pdagentd.pid
if [ "$1" != -f ]; then
    /bin/sh "$0" -f </dev/null >/dev/null 2>&1 &
    echo $! >$pid_file
    exit
fi
[ -s /var/lib/pdagent/agent_id.txt ] || cat /proc/sys/kernel/random/uuid >/var/lib/pdagent/agent_id.txt
echo "$(date '+%F %T'),000 INFO    MainThread           main                 *** pdagentd starting! pid=$$" >>/var/log/pdagent/pdagentd.log
trap 'rm -f $pid_file; exit 0' TERM
while :; do sleep 0.2; done
