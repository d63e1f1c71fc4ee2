# SPDX-License-Identifier: MIT
#
# Completion of lido for fish: the tool itself says what may come next (`lido --complete`).

function __lido_complete
    set -l words (commandline -opc)
    set -l now (commandline -ct)
    set -l tool $words[1]
    set -e words[1]
    for line in (command $tool --complete $words "$now" 2>/dev/null)
        if test "$line" = ":files"
            set -l option (string match -r -- '^--[a-z-]+=' "$now")
            for path in (__fish_complete_path (string replace -r -- '^--[a-z-]+=' '' "$now"))
                echo "$option$path"
            end
        else
            echo $line
        end
    end
end

complete -c lido -f -a '(__lido_complete)'
