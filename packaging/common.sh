# What the maintainer scripts of both families share. ci/packages.sh puts it in the place of the line that reads it.
# shellcheck shell=sh

# usage: proxies_in FILE: the proxy settings of a unit or an init script, as NAME=value
proxies_in() {
    name='(https?|no|all)_proxy'
    grep -iE "^[[:space:]]*(Environment[[:space:]]*=|export[[:space:]]|$name=)" "$1" 2>/dev/null |
        grep -oiE "\"$name=[^\"]+|'$name=[^']+|$name=(\"[^\"]+|'[^']+|[^[:space:];\"']+)" |
        sed -e "s/[\"']//g" |
        # "%" is special in units and nowhere else
        case $1 in *.service) sed 's/%%/%/g' ;; *) cat ;; esac
}

# usage: carry_proxies ENVIRONMENT_FILE [ROOT]
# The guide had people write a proxy into files that an upgrade replaces. What they wrote goes to the environment file;
# what that file sets already stays. The last assignment in the file that counts most wins, as it did where it stood.
carry_proxies() {
    for file in etc/systemd/system/pdagent.service lib/systemd/system/pdagent.service \
        usr/lib/systemd/system/pdagent.service etc/init.d/pdagent; do
        proxies_in "${2-}/$file" | tac | while IFS= read -r setting; do
            grep -qs "^${setting%%=*}=" "$1" && continue
            (
                umask 077 # as make_environment
                mkdir -p "${1%/*}"
                printf '# carried over from /%s; from now on it is read here\n%s\n' "$file" "$setting" >>"$1"
            )
        done
    done
}

# usage: make_environment FILE: the service's environment, for an administrator to fill in. A proxy's password may come into it.
make_environment() {
    [ -e "$1" ] || install -D -m 0600 /usr/share/pdagent/environment "$1"
}

make_user() {
    getent passwd pdagent >/dev/null && return
    echo 'u pdagent - "PagerDuty Agent" /var/lib/pdagent' |
        systemd-sysusers --replace=/usr/lib/sysusers.d/pdagent.conf - >/dev/null 2>&1 && return
    getent group pdagent >/dev/null || groupadd --system pdagent
    useradd --system --gid pdagent --no-create-home --home-dir /var/lib/pdagent --shell /usr/sbin/nologin \
        --comment 'PagerDuty Agent' pdagent
}

# usage: agent_pids WORD: this host's processes of user pdagent with WORD in their command line; a container's have another root
agent_pids() {
    here=$(stat -Lc %d:%i /)
    # shellcheck disable=SC2013  # one word a file
    for process in $(grep -ls "$1" /proc/[0-9]*/cmdline); do
        process=${process%/cmdline}
        [ "$(stat -c %U "$process" 2>/dev/null)" = pdagent ] || continue
        root=$(stat -Lc %d:%i "$process/root" 2>/dev/null) || root=$here
        [ "$root" = "$here" ] || continue
        echo "${process#/proc/}"
    done
}

# A service that runs is restarted by an upgrade, and so is one that failed though it is wanted. A stopped one is left alone.
agent_wanted() {
    if [ -d /run/systemd/system ]; then
        case $(systemctl is-active pdagent.service 2>/dev/null) in
            active | activating | reloading) return 0 ;;
            failed) systemctl --quiet is-enabled pdagent.service 2>/dev/null && return 0 ;;
        esac
    fi
    [ -n "$(agent_pids pdagentd)" ]
}

# The old agent's unit stops a wrapper and leaves the Python behind it: a second daemon on the same queue. It finishes what
# is in flight within 10 s.
# shellcheck disable=SC2046  # one word a pid
stop_old_agent() {
    tries=150
    kill -s TERM $(agent_pids pdagentd.py) 2>/dev/null || :
    while [ -n "$(agent_pids pdagentd.py)" ]; do
        sleep 0.1
        [ $((tries -= 1)) -gt 0 ] || kill -s KILL $(agent_pids pdagentd.py) 2>/dev/null || :
    done
}
