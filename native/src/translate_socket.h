// The socket calls that take arrays of buffers, from JavaScript to iovecs. Like translate.h in all
// else.
#pragma once

#include <node_api.h>

namespace translate {

napi_value SocketSend(napi_env env, napi_callback_info info);
napi_value SocketReceive(napi_env env, napi_callback_info info);
napi_value SocketSendMessage(napi_env env, napi_callback_info info);
napi_value SocketReceiveMessage(napi_env env, napi_callback_info info);

}  // namespace translate
