# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Completion of lido for bash: the tool itself says what may come next (`lido --complete`).

_lido()
{
    local words=() line word i
    COMPREPLY=()
    # Where '=' breaks words, "--mode=full" comes as three.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [ ${#words[@]} -gt 0 ] && [[ $word == = || ${words[-1]} == --*= ]] &&
            [[ ${words[-1]} == --* ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
    while IFS= read -r line; do
        if [ "$line" = :files ]; then
            compopt -o default 2> /dev/null # the names of files, if there is no reply
            continue
        fi
        line=${line%%$'\t'*}
        [[ $COMP_WORDBREAKS != *=* ]] || line=${line#--*=}
        COMPREPLY+=("$line")
    done < <("$1" --complete "${words[@]}" 2> /dev/null)
}
complete -F _lido lido
