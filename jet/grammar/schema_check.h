// What of JSON schemas (https://json-schema.org, 2020-12) texts are kept to. xgrammar passes over keywords that it does
// not have, and over those that stand beside another that leads:
//
//   $ref, const, enum, anyOf, oneOf, allOf      the first of them that is there is the schema: annotations may stand
//                                               beside it, and beside const and enum a type
//   type; properties ..: object; items ..: array
//   none of all these                           any value: then no other keyword may be there
#pragma once

#include "jet/base/json.h"

namespace jet {

/// Throws Error on a keyword that would not be kept to, in a schema or in those inside of it; `where` names it.
void check_schema(const Json& schema, const std::string& where = "#");

}  // namespace jet
