#!/usr/bin/env bash
# Says why it cannot go on, and ends.
printf 'starting\nreading the data folder\nfatal: the data folder is not usable\n'
exit 3
