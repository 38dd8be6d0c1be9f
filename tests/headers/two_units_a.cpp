// SPDX-License-Identifier: Apache-2.0
// With two_units_b.cpp: every header in two translation units of one program. A function that lacks `inline` does not
// link.
#include <all_headers.hpp>

#include <string>

std::string message_of_the_other_unit();

int main() {
  try {
    sqs::expects(false, "two units");
  } catch (const sqs::precondition_error& e) { return e.what() == message_of_the_other_unit() ? 0 : 1; }
  return 2;
}
