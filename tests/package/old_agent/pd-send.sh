#!/bin/sh
# usage: pd-send -k KEY -t trigger -d DESCRIPTION -i INCIDENT_KEY, in this order: enough for a test
umask 022
name=$(date +%s%6N)_$2.txt
queue=/var/lib/pdagent/outqueue
cat >"$queue/tmp/$name" <<END
{"agent":{"agent_id":null,"queued_at":"2020-01-01T00:00:00Z","queued_by":"pd-send"},"description":"$6","details":{},"event_type":"$4","incident_key":"$8","service_key":"$2"}
END
ln "$queue/tmp/$name" "$queue/pdq/$name" && rm "$queue/tmp/$name"
echo "Event processed. Incident Key: $8"
