{
  # `npx node-gyp rebuild` builds build/Release/winsock_direct.node; scripts/native-sanitize.mjs passes
  # sanitize=1 and keeps the result as build/Sanitize/winsock_direct.node.
  'variables': { 'sanitize%': 0 },
  'targets': [
    {
      'target_name': 'winsock_direct',
      'sources': [
        'native/src/addon.cc',
        'native/src/clock.cc',
        'native/src/dma.cc',
        'native/src/floor.cc',
        'native/src/hold.cc',
        'native/src/message.cc',
        'native/src/pin.cc',
        'native/src/poll.cc',
        'native/src/shm.cc',
        'native/src/socket.cc',
        'native/src/socket_floor.cc',
        'native/src/translate.cc',
        'native/src/translate_socket.cc',
        'native/src/wake.cc',
        'native/src/watcher.cc',
      ],
      'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
      'defines': [
        'NAPI_VERSION=8',
        'NAPI_DISABLE_CPP_EXCEPTIONS',
        # What cannot be thrown because the environment is ending is dropped, and not fatal.
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
        '_GNU_SOURCE',
      ],
      # The C++ standard is the one Node's own settings choose: V8's headers (hold.cc) need it.
      'cflags_cc': ['-O2', '-Wall', '-Wextra', '-fvisibility=hidden'],
      # Never unloaded: its SIGBUS handler outlives the last thread that used it.
      'ldflags': ['-Wl,-z,nodelete'],
      'conditions': [
        ['sanitize==1', {
          'cflags_cc': ['-fsanitize=address,undefined', '-fno-omit-frame-pointer', '-g'],
          'ldflags': ['-fsanitize=address,undefined'],
        }],
      ],
    },
  ],
}
