# shellcheck shell=sh disable=SC2154  # of env.sh
# A private apt that knows Debian's source packages only; sourced. The mirror is whichever one this machine's own apt uses,
# in either file format; the key is Debian's, so it matters little who runs the mirror.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
apt=$cache/apt

apt_setup() {
    [ -r "$keyring" ] || die "no $keyring: install debian-archive-keyring"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    # shellcheck disable=SC2016  # apt's own variable
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -ru | while read -r uri; do
        case $uri in
            *security*) echo "deb-src [signed-by=$keyring] $uri $suite-security main" ;;
            */debian/) printf "deb-src [signed-by=$keyring] $uri %s main\n" "$suite" "$suite-updates" ;;
        esac
    done >"$apt/sources.list"
    grep -q security "$apt/sources.list" || die "this machine's apt knows no mirror of Debian with its security updates"
    cat >"$apt/apt.conf" <<END
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$apt/lists";
Dir::Cache "$apt/cache";
APT::Sandbox::User "";
END
}
# Runs an apt tool with that configuration. usage: private apt-get …
private() { APT_CONFIG=$apt/apt.conf "$@"; }

# Versions of a source package, newest first. usage: versions PACKAGE
versions() { private apt-cache showsrc --only-source "$1" | sed -n 's/^Version: //p' | sort -ruV; }
# The version in a lock file. usage: locked PACKAGE [FILE]
locked() { awk -v package="$1" '$1 == package { print $2; exit }' "${2:-$here/lock}"; }
