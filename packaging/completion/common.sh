# What is completed from this host, for all shells: `sh -c TEXT pdagent WHAT`.
conf=${PDAGENT_CONF:-/etc/pdagent.conf}
case $1 in
keys)
    # the names of [Keys], where the user may read them
    sed -n '/^ *\[[Kk]eys\]/,/^ *\[[^Kk]/ s/^ *\([A-Za-z0-9._-]\{1,\}\) *[=:].*/@\1/p' \
        "$conf" "$(sed -n 's/^ *keys_file *[=:] *//p' "$conf")"
    ;;
*)
    # the newest events in this state, where the user may list them
    pd-queue list --state "$1" --reverse --limit 50 | sed -n 's/^\([0-9]\{16\}\).*/\1/p'
    ;;
esac 2>/dev/null
