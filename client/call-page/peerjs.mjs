/* The browser build of PeerJS is a classic script. This makes it a module, as it is for bundlers. */
export const { Peer } = globalThis;
