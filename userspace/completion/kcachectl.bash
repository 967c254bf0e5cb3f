# SPDX-License-Identifier: GPL-2.0
#
# bash completion of kcachectl: commands, their options, and files where one is
# wanted. What there is, kcachectl --help tells. Keys are not completed: that
# would read the whole cache at each press of the key.

# $1: a heading of the help that is on standard input; prints what stands under it
_kcachectl_under()
{
	sed -n "/^$1/,/^\$/p"
}

_kcachectl_words()
{
	local program=$1 command=$2

	if [ -z "$command" ]; then
		"$program" --help | _kcachectl_under Commands | sed -n 's/^  \([a-z]*\) .*/\1/p'
		"$program" --help | _kcachectl_under 'Options before' | grep -o -e '--[a-z-]*'
	else
		"$program" "$command" --help | _kcachectl_under Options |
			sed -n 's/^  \(-., \|    \)\(--[a-z-]*\).*/\2/p'
	fi 2> /dev/null
}

_kcachectl()
{
	local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} command='' i

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-d | --device) i=$((i + 1)) ;;
		-*) ;;
		*)
			command=${COMP_WORDS[i]}
			break
			;;
		esac
	done

	COMPREPLY=()
	case $command:${COMP_WORDS[COMP_CWORD - 1]}:$word in
	*:-d:* | *:--device:* | *:-f:* | *:--file:* | save:* | restore:*)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		;;
	:*:* | *:*:-*)
		mapfile -t COMPREPLY < <(compgen -W "$(_kcachectl_words "$program" "$command")" -- "$word")
		;;
	esac
}

complete -o filenames -F _kcachectl kcachectl
