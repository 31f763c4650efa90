// From JavaScript values to C++ arguments and back: the only place that checks arguments and
// throws. A wrong type or count is a TypeError that names the function and the argument. The
// functions behind it take plain types and return a number, negative errno included.
#pragma once

#include <node_api.h>

namespace translate {

// Sets every function of native/binding.ts on `exports`. False leaves an exception pending.
bool Export(napi_env env, napi_value exports);

}  // namespace translate
