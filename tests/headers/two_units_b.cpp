// SPDX-License-Identifier: Apache-2.0
#include <all_headers.hpp>

#include <string>

std::string message_of_the_other_unit();

std::string message_of_the_other_unit() {
  try {
    sqs::expects(false, "two ", "units");
  } catch (const sqs::error& e) { return e.what(); }
  return "nothing was thrown";
}
