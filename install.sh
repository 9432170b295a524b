#!/bin/sh
# Adds this server to a dFlow control plane: checks it, installs the agent and its systemd unit, enrols it, and waits
# until it is online. Safe to run again: what is as it should be stays, what is not is repaired, a newer agent is put in
# place. Everything it writes: the data folder, /usr/local/lib/dflow-agent and the unit dflow-agent.service.
set -eu

# The control plane that serves this file writes its own address here.
SERVED_FROM=''

UNIT=dflow-agent.service
UNIT_FILE=/etc/systemd/system/$UNIT
PROGRAMS=/usr/local/lib/dflow-agent
OLDEST_DOCKER=20.10
# The agent and one engine image; databases need what they need.
NEEDED_DISK_MIB=1024
CLOCK_TOLERANCE_S=300
ONLINE_DEADLINE_S=60
DOCKER_START_DEADLINE_S=60

usage() {
  cat <<'USAGE'
usage: sh install.sh [options]

  --url URL          the control plane (filled in when it served this file)
  --token-file FILE  the token of "Add server"; without it, it is asked for on the terminal, unseen
  --data-dir DIR     where the agent keeps its journal and secrets (default /var/lib/dflow-agent)
  --rekey            give this server, which is known already, a new key: with the token of "Re-key this server"
  --yes              install packages without asking (Docker, xz)
  --dry-run          check, say what would be done, change nothing
  --uninstall        remove the agent; databases keep running, their data and the agent's folder stay
  --purge            with --uninstall: also remove this agent's containers, volumes, networks and folder
USAGE
}

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
fail() {
  printf 'error: %s\n' "$1" >&2
  if [ $# -gt 1 ]; then printf '  hint: %s\n' "$2" >&2; fi
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# ---- arguments

read_arguments() {
  URL=$SERVED_FROM
  TOKEN_FILE=''
  DATA_DIR=''
  YES=no
  DRY_RUN=no
  ACTION=install
  PURGE=no
  REKEY=no
  while [ $# -gt 0 ]; do
    case $1 in
      --url | --token-file | --data-dir)
        [ $# -gt 1 ] || fail "$1 needs a value"
        case $1 in
          --url) URL=${2%/} ;;
          --token-file) TOKEN_FILE=$2 ;;
          --data-dir) DATA_DIR=${2%/} ;;
        esac
        shift
        ;;
      --yes) YES=yes ;;
      --dry-run) DRY_RUN=yes ;;
      --uninstall) ACTION=uninstall ;;
      --purge) PURGE=yes ;;
      --rekey) REKEY=yes ;;
      --help)
        usage
        exit 0
        ;;
      *)
        usage >&2
        # Not repeated: it may be a token.
        fail 'there is an argument that is not in this list' 'a token never goes on the command line: use --token-file'
        ;;
    esac
    shift
  done
  if [ -z "$DATA_DIR" ]; then DATA_DIR=$(installed_data_dir); fi
  case $DATA_DIR in
    /*[!A-Za-z0-9/._-]* | *..*) fail "--data-dir $DATA_DIR: only letters, digits and / . _ - can be in it" ;;
    /home/* | /root | /root/* | /run/* | /tmp | /tmp/* | /var/tmp/*)
      fail "--data-dir $DATA_DIR: the service does not see that folder, or a restart empties it" 'take one under /var/lib or /srv'
      ;;
    /?*) ;;
    *) fail '--data-dir has to be an absolute path' ;;
  esac
  if [ "$PURGE" = yes ] && [ "$ACTION" != uninstall ]; then fail '--purge goes with --uninstall'; fi
}

# An earlier run's choice holds until another is made.
installed_data_dir() {
  dir=$(sed -n 's/^ReadWritePaths=//p' "$UNIT_FILE" 2>/dev/null | head -n 1) || dir=''
  printf '%s\n' "${dir:-/var/lib/dflow-agent}"
}

# ---- questions, on the terminal even when this script comes through a pipe

has_terminal() { (: </dev/tty) 2>/dev/null; }

# The question is $1, the answer that means yes $2.
agreed() {
  if [ "$YES" = yes ]; then return 0; fi
  if ! has_terminal; then return 1; fi
  printf '%s ' "$1" >/dev/tty
  read -r answer </dev/tty || return 1
  [ "$answer" = "$2" ]
}

# Asked for before anything is changed, so that nobody has to wait for the question.
get_token() {
  TOKEN=''
  if [ -n "$ENROLLED_AT" ] && [ "$REKEY" = no ]; then return; fi
  if [ -n "$TOKEN_FILE" ]; then
    TOKEN=$(cat "$TOKEN_FILE") || fail "the token file $TOKEN_FILE cannot be read"
  else
    ask_token
  fi
}

ask_token() {
  has_terminal || fail 'there is no terminal to ask for the token' \
    'put the token of "Add server" into a file that only root can read, and give it by --token-file'
  if [ "$REKEY" = yes ]; then token_place='Re-key this server'; else token_place='Add server'; fi
  printf 'Token from "%s" (it is not shown): ' "$token_place" >/dev/tty
  # The terminal must not stay silent when somebody presses Ctrl-C at the question.
  trap 'stty echo </dev/tty; exit 130' INT TERM HUP
  stty -echo </dev/tty
  read -r TOKEN </dev/tty || TOKEN=''
  stty echo </dev/tty
  trap - INT TERM HUP
  printf '\n' >/dev/tty
}

# ---- checks

check_machine() {
  [ "$(uname -s)" = Linux ] || fail "this is $(uname -s); the agent runs on Linux"
  case $(uname -m) in
    x86_64 | amd64) ARCH=x64 ;;
    aarch64 | arm64) ARCH=arm64 ;;
    *) fail "the processor is $(uname -m); the agent runs on x86_64 and aarch64" ;;
  esac
  [ "$(id -u)" = 0 ] || fail 'this needs root' 'put sudo before sh'
  [ -d /run/systemd/system ] || fail 'systemd does not run here, and the agent is a systemd service' \
    'on a system without systemd, run the agent from a clone of dFlow: scripts/agent'
  has curl || has wget || fail 'neither curl nor wget is here' 'install one of them and run this again'
}

check_address() {
  [ -n "$URL" ] || fail 'which control plane?' 'give --url https://…, or run the line that "Add server" shows'
  host=${URL#*://}
  host=${host%%/*}
  case $URL in
    https://?*) ;;
    http://*)
      case $host in
        localhost | localhost:* | 127.* | '[::1]' | '[::1]':*) ;;
        *) fail "$URL is refused: only https leaves this machine" 'give the control plane an https address' ;;
      esac
      ;;
    *) fail "$URL is not an address" 'give it as https://host' ;;
  esac
}

check_enrolment() {
  ENROLLED_AT=$(field_of "$DATA_DIR/agent.json" controlPlaneUrl)
  if [ -n "$ENROLLED_AT" ] && [ "$ENROLLED_AT" != "$URL" ]; then
    fail "this server belongs to $ENROLLED_AT" \
      "to move it to $URL, first remove it there and run this with --uninstall --purge, which deletes its databases"
  fi
  if [ "$REKEY" = yes ] && [ -z "$ENROLLED_AT" ]; then
    fail "--rekey: there is no server in $DATA_DIR" 'run this on the machine to keep; for a new server leave --rekey out'
  fi
}

# A text of our own small JSON files; nothing when the file or the field is absent.
field_of() {
  if [ -f "$1" ]; then sed -n "s/^ *\"$2\": *\"\\([^\"]*\\)\".*/\\1/p" "$1" | head -n 1; fi
}

check_reach() {
  answer=$(fetch "$URL/healthz" 2>&1) || fail "$URL cannot be reached: $answer" \
    'check the address, the name server, and that this server may open connections to it'
  case $answer in
    *'"status":"ok"'*) ;;
    *) fail "$URL answers, but not as a dFlow control plane does" 'use the address under which the dashboard opens' ;;
  esac
}

# Nothing of ours depends on the clock, but certificates and image registries do.
check_clock() {
  theirs=$(date_header | tr -d '\r' | sed -n 's/^ *[Dd]ate: *//p' | tail -n 1)
  theirs_s=$(date -u -d "$theirs" +%s 2>/dev/null) || theirs_s=''
  if [ -z "$theirs" ] || [ -z "$theirs_s" ]; then return; fi
  off_s=$(($(date -u +%s) - theirs_s))
  if [ "$off_s" -gt "$CLOCK_TOLERANCE_S" ] || [ "$off_s" -lt "-$CLOCK_TOLERANCE_S" ]; then
    warn "this server's clock and the control plane's are $off_s s apart: turn on time synchronisation (timedatectl set-ntp true)"
  fi
}

check_disk() {
  at=$DATA_DIR
  while [ ! -d "$at" ]; do at=$(dirname "$at"); done
  free_mib=$(df -Pk "$at" | awk 'NR == 2 { print int($4 / 1024) }')
  [ "$free_mib" -ge "$NEEDED_DISK_MIB" ] || fail "$at has $free_mib MiB free; at least $NEEDED_DISK_MIB are needed" \
    'free some space, or choose another disk by --data-dir'
}

fetch() {
  if has curl; then curl -fsS --connect-timeout 10 --retry 2 "$1"; else wget -q -T 20 -O - "$1"; fi
}

download() {
  if has curl; then curl -fsS --connect-timeout 10 --retry 2 -o "$2" "$1"; else wget -q -T 20 -O "$2" "$1"; fi
}

date_header() {
  if has curl; then curl -fsSI --connect-timeout 10 "$URL/healthz"; else wget -q -S -O /dev/null "$URL/healthz" 2>&1; fi
}

# ---- Docker and xz, from the distribution

docker_version() { docker version --format '{{.Server.Version}}' 2>/dev/null; }

find_missing() {
  MISSING=''
  DOCKER_VERSION=''
  if has docker; then
    DOCKER_VERSION=$(docker_version) || DOCKER_VERSION=''
    [ -n "$DOCKER_VERSION" ] || fail 'Docker is installed, but its engine does not answer' \
      'start it (systemctl enable --now docker), see why not (journalctl -u docker), and run this again'
    check_docker_version
  else
    MISSING='Docker'
  fi
  if ! has xz; then MISSING="${MISSING:+$MISSING and }xz"; fi
}

check_docker_version() {
  major=${DOCKER_VERSION%%.*}
  minor=${DOCKER_VERSION#*.}
  minor=${minor%%.*}
  if [ "$major" -lt "${OLDEST_DOCKER%.*}" ] ||
    { [ "$major" -eq "${OLDEST_DOCKER%.*}" ] && [ "$minor" -lt "${OLDEST_DOCKER#*.}" ]; }; then
    fail "Docker is $DOCKER_VERSION; the agent needs $OLDEST_DOCKER or newer" "upgrade Docker and run this again"
  fi
}

install_missing() {
  if [ -z "$MISSING" ]; then return; fi
  has apt-get || fail "$MISSING: not installed, and this is neither Debian nor Ubuntu" \
    'install it the way your distribution documents it, and run this again'
  agreed "$MISSING is not installed. Install it from this distribution's packages? [y/N]" y ||
    fail "$MISSING is not installed" 'install it, or run this with --yes to have it installed from the distribution'
  say "Installing $MISSING …"
  log=$(mktemp)
  # A failed update is no reason to stop: the lists at hand may be enough, and the install says so if not.
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 update -qq >"$log" 2>&1 || true
  set -- ca-certificates
  if ! has xz; then set -- "$@" xz-utils; fi
  if ! has docker; then
    set -- "$@" docker.io iptables
    # Newer releases have the client in a package of its own.
    if apt-cache show docker-cli >/dev/null 2>&1; then set -- "$@" docker-cli; fi
    # With AppArmor on and its parser absent the engine starts, and every container then fails.
    if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]; then set -- "$@" apparmor; fi
  fi
  if ! DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@" \
    </dev/null >>"$log" 2>&1; then
    tail -n 15 "$log" >&2
    rm -f "$log"
    fail "apt-get could not install $MISSING (its last lines are above)"
  fi
  rm -f "$log"
  wait_for_docker
}

wait_for_docker() {
  waited=0
  until DOCKER_VERSION=$(docker_version) && [ -n "$DOCKER_VERSION" ]; do
    if [ "$waited" -eq 0 ]; then systemctl enable --now docker >/dev/null 2>&1 || true; fi
    [ "$waited" -lt "$DOCKER_START_DEADLINE_S" ] || fail 'Docker was installed, but its engine does not come up' \
      'see why: journalctl -u docker'
    sleep 1
    waited=$((waited + 1))
  done
  check_docker_version
}

# ---- the agent's programs: one folder a release, named after its archive's hash

find_release() {
  archive=agent-linux-$ARCH.tar.xz
  sums=$(fetch "$URL/install/$archive.sha256" 2>&1) ||
    fail "$URL has no agent for linux-$ARCH: $sums" "on the control plane's machine, run scripts/archive"
  SHA256=${sums%% *}
  case $SHA256 in
    *[!0-9a-f]*) fail "$URL/install/$archive.sha256 is not a SHA-256" ;;
  esac
  [ "${#SHA256}" -eq 64 ] || fail "$URL/install/$archive.sha256 is not a SHA-256"
  RELEASE=$PROGRAMS/$SHA256
}

release_is_whole() {
  [ -f "$RELEASE/SHA256SUMS" ] && (cd "$RELEASE" && sha256sum -c SHA256SUMS >/dev/null 2>&1)
}

install_release() {
  if release_is_whole; then return; fi
  say "Downloading the agent from $URL …"
  mkdir -p "$PROGRAMS"
  new=$(mktemp -d "$PROGRAMS/.new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  trap 'exit 130' INT TERM HUP
  download "$URL/install/agent-linux-$ARCH.tar.xz" "$new/archive" || fail "the download of $URL/install/agent-linux-$ARCH.tar.xz failed"
  [ "$(sha256sum <"$new/archive" | cut -d ' ' -f 1)" = "$SHA256" ] ||
    fail 'the archive is not the one that its SHA-256 names: nothing was installed' 'run this again'
  mkdir "$new/release"
  xz -dc <"$new/archive" | tar -xf - -C "$new/release" --no-same-owner
  "$new/release/node" --version >/dev/null 2>&1 || fail "the agent's Node does not run on this system" \
    'it needs glibc 2.28 or newer (Debian 10, Ubuntu 20.04, RHEL 8); musl systems are not supported'
  chmod 755 "$new/release"
  rm -rf "$RELEASE"
  mv "$new/release" "$RELEASE"
  rm -rf "$new"
  trap - EXIT INT TERM HUP
  CHANGED=yes
}

# After the unit runs the new release, nothing needs the others.
remove_other_releases() {
  for folder in "$PROGRAMS"/* "$PROGRAMS"/.new.*; do
    if [ -e "$folder" ] && [ "$folder" != "$RELEASE" ]; then rm -rf "$folder"; fi
  done
}

agent() { "$RELEASE/node" "$RELEASE/agent.mjs" "$@"; }

enrol() {
  if [ -n "$ENROLLED_AT" ] && [ "$REKEY" = no ]; then return; fi
  # printf is the shell's own, so no process has the token among its arguments.
  printf '%s\n' "$TOKEN" | agent enrol --url "$URL" --data-dir "$DATA_DIR" || exit 1
  TOKEN=''
  # An agent that runs has read its key already.
  if [ "$REKEY" = yes ]; then CHANGED=yes; fi
}

# ---- the service

unit_text() {
  # The archive carries the unit; this server's paths go into it.
  sed -e "s|@RELEASE@|$RELEASE|g" -e "s|@DATA_DIR@|$DATA_DIR|g" "$RELEASE/$UNIT"
}

start_service() {
  if [ "$(unit_text)" != "$(cat "$UNIT_FILE" 2>/dev/null)" ]; then
    unit_text >"$UNIT_FILE.new"
    chmod 644 "$UNIT_FILE.new"
    mv "$UNIT_FILE.new" "$UNIT_FILE"
    CHANGED=yes
  fi
  if ! systemctl is-enabled --quiet "$UNIT" || ! systemctl is-active --quiet "$UNIT"; then CHANGED=yes; fi
  if [ "$CHANGED" = no ]; then return; fi
  systemctl daemon-reload
  systemctl enable --quiet "$UNIT"
  systemctl restart "$UNIT"
}

wait_until_online() {
  waited=0
  until status=$(agent status --data-dir "$DATA_DIR" 2>&1); do
    if [ "$waited" -ge "$ONLINE_DEADLINE_S" ]; then
      fail "the agent is installed, but not online after $ONLINE_DEADLINE_S s: $status" \
        "see why: journalctl -u $UNIT -n 50; it goes on trying by itself"
    fi
    sleep 1
    waited=$((waited + 1))
  done
  say "$status"
}

# ---- the two actions

install() {
  check_address
  check_enrolment
  check_reach
  check_clock
  check_disk
  find_missing
  find_release
  say "Checked: linux-$ARCH, root, systemd, ${free_mib} MiB free, Docker ${DOCKER_VERSION:-absent}, $URL answers."
  if [ "$DRY_RUN" = yes ]; then
    say_plan
    return
  fi
  get_token
  CHANGED=no
  install_missing
  install_release
  enrol
  start_service
  remove_other_releases
  wait_until_online
  if [ "$CHANGED" = no ]; then say 'Everything was in place: nothing was changed.'; fi
}

say_plan() {
  if [ -n "$MISSING" ]; then say "Would install $MISSING from the distribution's packages."; fi
  if release_is_whole; then
    say "The agent's programs are in place."
  else
    say "Would download the agent and verify its SHA-256, $SHA256."
  fi
  if [ -z "$ENROLLED_AT" ]; then say "Would enrol this server, with its data in $DATA_DIR."; fi
  if [ "$REKEY" = yes ]; then say 'Would give this server a new key.'; fi
  if [ ! -f "$UNIT_FILE" ]; then say "Would install and start $UNIT."; fi
  say 'Nothing was changed.'
}

uninstall() {
  agent_id=$(field_of "$DATA_DIR/agent.json" agentId)
  if [ "$DRY_RUN" = yes ]; then
    say "Would stop and remove $UNIT and $PROGRAMS."
    if [ "$PURGE" = yes ]; then say "Would remove every container, volume and network of agent ${agent_id:-(none)}, and $DATA_DIR."; fi
    say 'Nothing was changed.'
    return
  fi
  if [ "$PURGE" = yes ]; then
    agreed "This deletes every database that dFlow runs on this server, with its data. Type yes:" yes ||
      fail 'not agreed: nothing was removed' 'without a terminal, give --yes'
  fi
  if [ -f "$UNIT_FILE" ]; then
    systemctl disable --now --quiet "$UNIT"
    rm -f "$UNIT_FILE"
    systemctl daemon-reload
  fi
  systemctl reset-failed "$UNIT" 2>/dev/null || true
  rm -rf "$PROGRAMS"
  if [ "$PURGE" = yes ]; then
    purge
    say 'The agent, its databases and their data are removed. Remove the server in the dashboard too.'
  else
    say "The agent is removed. Databases keep running; their data and $DATA_DIR stay."
    say 'Install again to take them over, or use --uninstall --purge to remove them.'
  fi
}

purge() {
  if [ -n "$agent_id" ]; then
    docker version >/dev/null 2>&1 || fail "Docker does not answer, so nothing of it was removed; $DATA_DIR stays"
    label=label=sh.dflow.agent=$agent_id
    docker ps -aq --filter "$label" | while read -r id; do docker rm -f -v "$id" >/dev/null; done
    docker volume ls -q --filter "$label" | while read -r id; do docker volume rm "$id" >/dev/null; done
    docker network ls -q --filter "$label" | while read -r id; do docker network rm "$id" >/dev/null; done
  fi
  # By name: the folder may be a mount, or a wrong --data-dir.
  for name in agent.json agent.lock config.json epoch.json journal.db journal.db-mark journal.db-shm journal.db-wal key.json key.new.json link.json once services; do
    rm -rf "${DATA_DIR:?}/$name"
  done
  # Journals that were damaged, and set aside under a date.
  rm -f "${DATA_DIR:?}"/journal.db.damaged-*
  rmdir "$DATA_DIR" 2>/dev/null || true
}

# Called on the last line, so that half a download does nothing.
main() {
  # What is written is the agent's alone.
  umask 022
  read_arguments "$@"
  check_machine
  "$ACTION"
}

main "$@"
