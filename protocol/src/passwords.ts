/** The password with which a person signs in to the dashboard. */

/** In characters. */
export const PASSWORD_LENGTH = { min: 12, max: 128 } as const;
