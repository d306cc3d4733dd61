# What a Tab at the end of a line offers, a line with all words. A shell in a terminal of its own is asked, as zsh's completion works nowhere else.
# Arguments: a folder with the script, `sourced` or `fpath`, the line. Ends when the answer is there; whoever starts it sees to a limit.
zmodload zsh/zpty
cd $1
answer=$(mktemp -u ./answer.XXXXXX)
zpty shell zsh -f -i
tell() { zpty -w shell $1 }
tell 'PROMPT= ; unsetopt list_types; LISTMAX=0'
if [[ $2 = fpath ]]; then tell 'fpath=($PWD $fpath)'; fi
tell 'autoload -Uz compinit; compinit -u -D'
if [[ $2 = sourced ]]; then tell 'source ./_nixie'; fi
tell 'compadd() { builtin compadd -A found "$@" 2>/dev/null; builtin compadd "$@" }'
tell "told() { compstate[insert]=; print -r -- \"\$found\" > $answer.new; command mv $answer.new $answer }; compprefuncs=(); comppostfuncs=(told)"
tell "bindkey '^I' complete-word; echo rea''dy"
zpty -r -m shell said '*ready*'
zpty -w -n shell "$3"$'\t'
until [[ -e $answer ]]; do sleep 0.05; done
cat $answer
zpty -d shell
