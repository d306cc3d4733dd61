/** The version the agent reports; equal to the one in package.json. */
export const agentVersion = '0.1.0';
