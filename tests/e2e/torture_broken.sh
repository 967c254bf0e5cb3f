#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Would torture_test tell? Runs it with a libkcache that does not check again what
# it has read, until it fails by a value that is a mixture; a run has about an even
# chance. Run as root, in a guest:
#
#	tests/vm/run -- tests/e2e/torture_broken.sh
#
# Empties the cache.
set -u

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
name=library_without_the_second_check_is_caught

echo 1..1
for try in {1..20}; do
	out=$(TORTURE_READERS=borrow "${O:-$checkout/build/tests}/torture_broken" \
		keys_that_stay_are_found_by_every_read 2>&1)
	if [ $? = 1 ] && [[ $out == *'is a mixture'* ]]; then
		echo "ok 1 - $name # in run $try"
		exit
	fi
done
echo "# ${out//$'\n'/$'\n# '}"
echo "not ok 1 - $name"
exit 1
