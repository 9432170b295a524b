/** The control plane's version, as backups and figures name it. The same as in package.json. */
export const CONTROL_PLANE_VERSION = "0.1.0";
