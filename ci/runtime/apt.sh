# shellcheck shell=sh disable=SC2154  # of env.sh
# A private apt that knows Debian's source packages only; sourced. The mirror is whichever one this machine's own apt uses,
# in either file format; the key is Debian's, so it matters little who runs the mirror.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
apt=$cache/apt
# Where the same release of upstream's may be had while the mirror lacks the stable release's newest.
later='forky sid'

# usage: series PACKAGE: the releases of upstream's that may take each other's place, as the start of a version
series() {
    case $1 in
        zlib) echo 1.3.1 ;; # that 1.3.2 has CVE-2026-85091 nobody disputes
        openssl) echo 3.5 ;;
        *) echo "$python" ;;
    esac
}

apt_setup() {
    [ -r "$keyring" ] || die "no $keyring: install debian-archive-keyring"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    # shellcheck disable=SC2016  # apt's own variable
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -ru | while read -r uri; do
        case $uri in
            *security*) echo "deb-src [signed-by=$keyring] $uri $suite-security main" ;;
            */debian/) printf "deb-src [signed-by=$keyring] $uri %s main\n" "$suite" "$suite-updates" ;;
        esac
    done >"$apt/stable.list"
    grep -q security "$apt/stable.list" || die "this machine's apt knows no mirror of Debian with its security updates"
    {
        cat "$apt/stable.list"
        for place in $later; do
            sed -n "s/ $suite main$/ $place main/p" "$apt/stable.list"
        done
    } >"$apt/sources.list"
    cat >"$apt/apt.conf" <<END
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$apt/lists";
Dir::Cache "$apt/cache";
APT::Sandbox::User "";
APT::Get::List-Cleanup "false";
END
}
# Runs an apt tool, apt-helper too, with that configuration. usage: private apt-get …
private() { APT_CONFIG=$apt/apt.conf PATH=$PATH:/usr/lib/apt "$@"; }

# The lists; those of the stable release must be had, and a mirror need not have the later ones.
apt_update() {
    private apt-get -o Dir::Etc::SourceList="$apt/stable.list" update -qq --error-on=any || return 1
    private apt-get update -qq || true
}

# Versions of a source package in suites of the stable release and, below, in later ones, newest first: "VERSION SUITE".
# usage: listed PACKAGE
listed() {
    private apt-cache madison "$1" | awk -v later=" $later " '$NF == "Sources" {
        split($0, field, " *[|] *"); split($(NF - 1), place, "/")
        print (index(later, " " place[1] " ") ? "later" : "stable"), field[2], place[1]
    }' |
        sort -k 1,1r -k 2,2rV -k 3,3 | awk '!seen[$1 $2]++ { print $2, $3 }'
}
# usage: is_later SUITE
is_later() { case " $later " in *" $1 "*) ;; *) return 1 ;; esac }
# What upstream calls a version of Debian's: 1.3.1 of 1:1.3.dfsg+really1.3.1-1+deb13u1. usage: upstream VERSION
upstream() { echo "$1" | sed 's/^[0-9]*://; s/-[^-]*$//; s/.*really//'; }
# usage: of_series PACKAGE VERSION
of_series() { case $(upstream "$2") in "$(series "$1")" | "$(series "$1")".*) ;; *) return 1 ;; esac }
# Whether a version of a later suite holds what the stable release's newest holds: its upstream is of the same series, no older
# than that one's, and newer than what we have. Debian's own number tells nothing across suites: 1.3.1-3 comes after
# 1.3.1-1+deb13u1 and lacks its fixes. usage: serves PACKAGE VERSION NEWEST LOCKED
serves() {
    of_series "$1" "$2" && dpkg --compare-versions "$(upstream "$2")" ge "$(upstream "$3")" && dpkg --compare-versions "$(upstream "$2")" gt "$(upstream "$4")"
}
# The version in a lock file. usage: locked PACKAGE [FILE]
locked() { awk -v package="$1" '$1 == package { print $2; exit }' "${2:-$here/lock}"; }
