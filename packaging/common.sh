# What the maintainer scripts of both families share. ci/packages.sh puts this file in the place of the line that reads it.
# shellcheck shell=sh

# This file is there until the old agent's files are removed, which is after preinst and after %post.
OLD_DAEMON=/usr/share/pdagent/bin/pdagentd.py

# usage: proxies_in FILE: the proxy settings of a unit or an init script, as NAME=value
proxies_in() {
    name='(https?|no)_proxy'
    grep -iE "^[[:space:]]*(Environment[[:space:]]*=|export[[:space:]]|$name=)" "$1" 2>/dev/null |
        grep -oiE "\"$name=[^\"]+|'$name=[^']+|$name=(\"[^\"]+|'[^']+|[^[:space:];\"']+)" |
        sed -e "s/[\"']//g" |
        # "%" is special in units and nowhere else
        case $1 in *.service | *.conf) sed 's/%%/%/g' ;; *) cat ;; esac
}

# The old agent spoke plain HTTP to each proxy, even if its address began with https://.
# usage: as_it_was_spoken FILE: writes the addresses so; FILE is where they are from
as_it_was_spoken() {
    if grep -qE '^(Type=notify|read_environment)' "$1"; then cat; else sed -E 's,^([^=]*=)[Hh][Tt][Tt][Pp][Ss]://,\1http://,'; fi
}

# usage: carry_proxies ENVIRONMENT_FILE [ROOT]
# The guide had people write a proxy into files that an upgrade replaces. Such settings go to the environment file, unless it has
# them already. The last assignment in the file that counts most wins, as it did before. A drop-in stays where it is. Its settings
# are carried over from the old agent only, since an https:// in it meant something else there.
carry_proxies() {
    for file in "${2-}"/etc/systemd/system/pdagent.service.d/*.conf "${2-}/etc/systemd/system/pdagent.service" \
        "${2-}/lib/systemd/system/pdagent.service" "${2-}/usr/lib/systemd/system/pdagent.service" "${2-}/etc/init.d/pdagent"; do
        case $file in *.conf) [ -e "${2-}$OLD_DAEMON" ] || continue ;; esac
        [ -f "$file" ] || continue
        proxies_in "$file" | as_it_was_spoken "$file" | tac | while IFS= read -r setting; do
            grep -qs "^${setting%%=*}=" "$1" && continue
            (
                umask 077 # a password may be in it
                mkdir -p "${1%/*}"
                printf '# carried over from %s; from now on it is read here\n%s\n' "${file#"${2-}"}" "$setting" >>"$1"
            )
        done
    done
}

# usage: put MODE SOURCE FILE: copies a file, unless there is one already. It is there whole or not at all.
put() {
    [ -e "$3" ] || [ -L "$3" ] && return
    install -D -m "$1" "$2" "$3.new"
    mv -f "$3.new" "$3"
}

# The service runs in the group, and the queue belongs to it. An administrator may have made the user without the group.
make_user() {
    getent group pdagent >/dev/null || groupadd --system pdagent
    getent passwd pdagent >/dev/null || useradd --system --gid pdagent --no-create-home --home-dir /var/lib/pdagent \
        --shell /usr/sbin/nologin --comment 'PagerDuty Agent' pdagent
}

# usage: judge_link FILE: FILE may be a link of an administrator's to a larger disk, though the old package gave all such links to
# user pdagent. Or somebody has taken over that user, and made the link so that root writes elsewhere. Then the link leads to what
# is not that user's, and is removed.
judge_link() {
    [ -L "$1" ] && [ "$(stat -c %U "$1")" != root ] || return 0
    if [ "$(stat -Lc %U "$1" 2>/dev/null)" = pdagent ]; then
        chown -h root:root "$1"
    else
        echo "pdagent: removing the link $1, which leads to what is not the agent's" >&2
        rm -f "$1"
    fi
}

# usage: take_data_directory DIRECTORY: makes it root's, before the new files come
# Root writes below it, and copies the unit from its scripts/. Up to 1.7.4 user pdagent owned all of that, and could have put
# links there. In a directory of root's nobody else can replace anything, so what is looked at after that stays as it is.
take_data_directory() {
    [ -d "$1" ] || return 0
    chown -h root:root "$1"
    chown root:root "$1"
    chmod 0755 "$1"
    case $(stat -c %F:%U "$1/scripts" 2>/dev/null) in
        '' | directory:root) ;;
        *) rm -rf "$1/scripts" ;;
    esac
    judge_link "$1/outqueue"
}

# usage: set_directories TABLE: makes the directories of tmpfiles.d, and sets owners and modes, which dpkg leaves as they are. An
# old daemon must have ended before, since it writes into outqueue/, which is root's from now on.
set_directories() {
    while read -r kind directory mode user group _; do
        [ "$kind" = d ] || continue
        judge_link "$directory"
        install -d -m "$mode" -o "$user" -g "$group" "$directory" || :
    done <"$1"
}

# Both package managers take a link in the place of one of their directories for their own, and remove it with the package. The
# queue would lie behind it, and the next installation would not find it.
LINKS='/var/lib/pdagent /var/lib/pdagent/outqueue /var/log/pdagent'

# usage: keep_links: before a removal
keep_links() {
    for link in $LINKS; do
        [ ! -L "$link" ] || ln -sfn "$(readlink "$link")" "$link.kept"
    done
}

# usage: bring_links_back: after a removal, after one that was given up, and before an installation, since it may have been killed
bring_links_back() {
    for link in $LINKS; do
        [ -L "$link.kept" ] || continue
        [ -e "$link" ] || [ -L "$link" ] || mv -T "$link.kept" "$link"
        rm -f "$link.kept"
    done
}

# The old agent's modules were compiled on the host. Its package does not know the compiled files, so it leaves its directories.
remove_bytecode() {
    for directory in /usr/lib/python*/*-packages/pdagent /usr/lib64/python*/*-packages/pdagent; do
        [ -d "$directory" ] || continue
        # where there is no find, nothing is known of what is in use
        modules=$(find "$directory" -name '*.py') || continue
        [ -n "$modules" ] || rm -rf "$directory"
    done
}

# usage: are_equal FILE FILE. Small images have no cmp.
are_equal() {
    [ -f "$1" ] && [ -f "$2" ] && [ "$(cat "$1")" = "$(cat "$2")" ]
}

# usage: agent_pids WORD: the processes of user pdagent with WORD in their command line. Those of a container, which have another
# root directory, are left out.
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

# An upgrade restarts a service that runs, and one that has failed but is enabled. It leaves a stopped service alone.
agent_wanted() {
    if [ -d /run/systemd/system ]; then
        # Only systemd is asked: the old agent's daemon may live on after its service was stopped.
        case $(systemctl is-active pdagent.service 2>/dev/null) in
            active | activating | reloading) return 0 ;;
            failed) systemctl --quiet is-enabled pdagent.service 2>/dev/null ;;
            *) return 1 ;;
        esac
    else
        [ -n "$(agent_pids pdagentd)" ]
    fi
}

# usage: note_service: for postinst, which may come after a reboot, which empties /run. False if there is no room for the note.
note_service() {
    mkdir -p /var/lib/pdagent || return 0
    if agent_wanted; then wanted=restart; else wanted=leave; fi
    echo $wanted 2>/dev/null >/var/lib/pdagent/upgrade || {
        echo "pdagent: can't write to /var/lib/pdagent: is its disk full?" >&2
        return 1
    }
}

# The old agent's unit stops a wrapper, but not the Python process of the daemon, which would be a second daemon on the same queue.
# That daemon finishes its posts within 10 s.
# shellcheck disable=SC2046  # one word a pid
stop_old_agent() {
    for signal in TERM KILL; do
        kill -s $signal $(agent_pids pdagentd.py) 2>/dev/null || :
        tries=150
        while [ -n "$(agent_pids pdagentd.py)" ]; do
            [ $((tries -= 1)) -gt 0 ] || continue 2
            sleep 0.1
        done
        return 0
    done
    # It hangs in the kernel, for instance because of a dead disk.
    echo "pdagent: the old daemon can't be ended: process" $(agent_pids pdagentd.py) >&2
}

# Until it has ended, the old daemon puts the events of the new pd-send into err/, since it knows Events API v1 only. These events
# become pending again, at their old place in the order.
give_back_events() {
    pd-queue retry --refused-by-old-agent >/dev/null || :
}
