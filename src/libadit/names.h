/* In the static library the inner names must not meet those of the program: they all begin with adit_i_. */
#ifndef ADIT_LIBADIT_NAMES_H
#define ADIT_LIBADIT_NAMES_H

#define begin_message adit_i_begin_message
#define put_extension adit_i_put_extension
#define put_text adit_i_put_text
#define put_rule adit_i_put_rule
#define put_selectors adit_i_put_selectors
#define finish_message adit_i_finish_message
#define read_message adit_i_read_message
#define read_rule adit_i_read_rule
#define text_of adit_i_text_of
#define failed adit_i_failed
#define connect_to adit_i_connect_to
#define begin_request adit_i_begin_request
#define ask adit_i_ask
#define ask_for_rules adit_i_ask_for_rules
#define json_value adit_i_json_value
#define json_member adit_i_json_member
#define json_number adit_i_json_number
#define json_is_true adit_i_json_is_true
#define json_string adit_i_json_string

#endif
