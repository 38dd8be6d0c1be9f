// SPDX-License-Identifier: Apache-2.0
// expected-error: a reflected module must be an aggregate \(no constructors
#include <sqs/core/reflect.hpp>

struct module {
  int a;
#ifndef SQS_GOOD
  module() :a(0) {}
#endif
  SQS_MEMBERS(module, a)
};
void use(module& m) {
  sqs::for_each_member(m, [](auto, auto&) {});
}
