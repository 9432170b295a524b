#!/usr/bin/env bash
# Looks alive and listens nowhere, whatever it is asked to run.
set -euo pipefail

trap 'exit 0' INT TERM
printf 'starting\nloading the configuration\nwaiting for something that never comes\n'
sleep infinity &
# A signal ends wait at once, where it would wait for a sleep in the foreground.
wait
