#!/bin/sh
# Serves the queue as the old daemon does: one event after the other, Events API v1 alone, 4xx into err/, all else again later.
# Where it posts to is in the configuration, as events_url, so that no test asks PagerDuty; without it, it only waits.
queue=/var/lib/pdagent/outqueue
pid_file=/var/run/pdagent/pdagentd.pid
log() { printf '%s,000 INFO    %-20s %-20s %s\n' "$(date '+%F %T')" "$1" "$2" "$3" >>/var/log/pdagent/pdagentd.log; }
setting() { sed -n "s/^$1 *= *//p" /etc/pdagent.conf | tail -n 1; }

if [ "$1" != -f ]; then
    /bin/sh "$0" -f </dev/null >/dev/null 2>&1 &
    echo $! >$pid_file
    exit
fi
umask 0137
[ -s /var/lib/pdagent/agent_id.txt ] || cat /proc/sys/kernel/random/uuid >/var/lib/pdagent/agent_id.txt
log MainThread main "*** pdagentd starting! pid=$$"
# the event in flight is finished, and its file moved, before it ends
stop=
trap 'stop=yes' TERM
end_if_told() {
    [ "$stop" ] || return 0
    log MainThread main "Stopping due to signal #: 15"
    rm -f $pid_file
    exit 0
}

# urllib takes the scheme for no more than a name, and knows no proxy for everything
http_proxy=$(printf %s "${http_proxy-}" | sed 's,^https:,http:,')
export http_proxy
unset all_proxy ALL_PROXY

move() {
    log SendEventTask pdagent.pdqueue "Changing $1 type: pdq -> $2..."
    mv "$queue/pdq/$1" "$queue/$2/$1"
}

pass() {
    failed=' '
    for file in "$queue"/pdq/*; do
        name=${file##*/} key=${file##*_}
        [ -e "$file" ] || continue
        end_if_told
        case $failed in *" $key "*) continue ;; esac
        log SendEventTask pdagent.pdqueue "Processing event $name"
        code=$(trap '' TERM && curl -s -o /dev/null -w '%{http_code}' -m 10 -H 'Content-Type: application/json' \
            --data-binary "@$file" "$1/generic/2010-04-15/create_event.json")
        case $code in
            2??) move "$name" suc ;;
            403 | 000 | '' | 3?? | 5??)
                log SendEventTask pdagent.pdqueue "Backing off service key $key"
                failed="$failed$key "
                ;;
            *) move "$name" err ;;
        esac
    done
}

while :; do
    url=$(setting events_url)
    [ -z "$url" ] || pass "$url"
    pause=$(setting send_interval_secs)
    # a second at a time, as the old daemon's threads: each looks whether it is to end
    while [ "${pause:-10}" -gt 0 ]; do
        end_if_told
        sleep 1
        pause=$((pause - 1))
    done
done
