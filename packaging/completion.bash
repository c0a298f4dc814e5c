# bash completion for all of the agent's commands: what they offer is what their own help says.

_pdagent() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=("$1") help words=''
    # sub-commands have a help of their own
    [[ $COMP_CWORD -gt 1 && $1 =~ (pd-queue|pdagent)$ && ${COMP_WORDS[1]} == [a-z]* ]] && command+=("${COMP_WORDS[1]}")
    help=$("${command[@]}" --help 2>/dev/null) || return
    case $previous in
        --config | --service-key-file | --json)
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
            ;;
        -*) words=$(grep -E -- "^  (.* )?${previous} \{" <<<"$help" | grep -oE '\{[^}]*\}' | head -n 1) ;;
    esac
    if [[ -z $words && $current == -* ]]; then
        words=$(grep -E '^  -' <<<"$help" | grep -oE -- '(^| )--?[a-z][a-z-]*')
    elif [[ -z $words && $COMP_CWORD -eq 1 ]]; then
        words=$(grep -oE '^  \{[a-z,]+\}' <<<"$help" | head -n 1)
        [[ $1 == *pd-send ]] && words=change
    fi
    mapfile -t COMPREPLY < <(compgen -W "${words//[\{\},]/ }" -- "$current")
}
complete -F _pdagent pd-send pd-queue pd-nagios pd-zabbix pd-sensu pdagent pdagentd
