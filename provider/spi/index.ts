// The published entry `winsock-direct/spi`: all that a provider needs to be written against.

export * from './address-list.js';
export * from './answer-extension.js';
export * from './base-extensions.js';
export * from './base-provider.js';
export * from './control-message.js';
export * from './errors.js';
export * from './guid.js';
export * from './layout.js';
export * from './ntstatus.js';
export * from './profile.js';
export * from './protocol-info.js';
export * from './provider.js';
export * from './provider-shape.js';
export * from './sockaddr.js';
export * from './throwing.js';
export * from './winsock2.js';
export * from './ws2san.js';
export * from './ws2spi.js';
