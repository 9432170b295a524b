# Sourced by the other scripts: installs the locked npm packages when they are missing or stale, and sets
# ROOT (the repository), NODE (the pinned Node 24 by path; the system's own Node only runs npm) and BIOME.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"

dflow_install_packages() {
  local stamp="$ROOT/node_modules/.dflow-lock" want
  want="$(sha256sum package-lock.json .npmrc | sha256sum | cut -d' ' -f1)"
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then return; fi
  command -v npm >/dev/null || { echo "npm is missing: install Node.js with npm (any version from 20 on), then run this again." >&2; exit 1; }
  echo "Installing the npm packages (about a minute) …" >&2
  npm ci --loglevel=error >&2
  printf '%s' "$want" > "$stamp"
}

dflow_find_node() {
  local arch
  case "$(uname -m)" in
    x86_64) arch=x64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) echo "This machine's architecture, $(uname -m), is not supported: x86_64 and aarch64 are." >&2; exit 1 ;;
  esac
  NODE="$ROOT/node_modules/node-linux-$arch/bin/node"
  # Called by path too: the wrapper package lists binaries of systems that some registries do not carry.
  BIOME="$ROOT/node_modules/@biomejs/cli-linux-$arch/biome"
  [ -x "$NODE" ] || { echo "The pinned Node is missing at $NODE: delete node_modules and run this again." >&2; exit 1; }
  export NODE BIOME
}

dflow_install_packages
dflow_find_node
