// SPDX-License-Identifier: Apache-2.0
// expected-error: SQS_MEMBERS does not list every data member of this module
#include <sqs/core/reflect.hpp>

struct module {
  int a, b;
#ifdef SQS_GOOD
  SQS_MEMBERS(module, a, b)
#else
  SQS_MEMBERS(module, a)
#endif
};
void use(module& m) {
  sqs::for_each_member(m, [](auto, auto&) {});
}
