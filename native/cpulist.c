/* cpulist.c - the kernel's text for a set of CPUs, read and written. */
#include "internal.h"

struct reader {
    const char *text;
    size_t length, at;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool read_char(struct reader *in, char wanted)
{
    if (in->at == in->length || in->text[in->at] != wanted)
        return false;
    in->at++;
    return true;
}

/* Reads a decimal number; false if there is none. Numbers too great to be of use
 * stop growing, so that no length of text overflows. */
static bool read_number(struct reader *in, int64_t *number)
{
    if (in->at == in->length || !is_digit(in->text[in->at]))
        return false;
    for (*number = 0; in->at < in->length && is_digit(in->text[in->at]); in->at++)
        if (*number < INT64_C(1000000000000))
            *number = *number * 10 + (in->text[in->at] - '0');
    return true;
}

/* Reads one item: N, N-N or N-N:used/group. */
static int read_item(struct reader *in, uint64_t *bits, int64_t limit, struct cpuset_fault *fault)
{
    int64_t start = (int64_t)in->at, low, high, used = 1, group = 1;
    if (!read_number(in, &low))
        return cpuset_fail(fault, CPUSET_E_SYNTAX, 0, -1, (int64_t)in->at);
    high = low;
    if (read_char(in, '-')) {
        if (!read_number(in, &high))
            return cpuset_fail(fault, CPUSET_E_SYNTAX, 0, -1, (int64_t)in->at);
        if (read_char(in, ':')
            && (!read_number(in, &used) || !read_char(in, '/') || !read_number(in, &group)
                || group == 0 || used > group))
            return cpuset_fail(fault, CPUSET_E_SYNTAX, 0, -1, (int64_t)in->at);
    }
    if (low > high)
        return cpuset_fail(fault, CPUSET_E_REVERSED, low, -1, start);
    if (high >= limit)
        return cpuset_fail(fault, CPUSET_E_RANGE, high, -1, start);
    for (int64_t id = low; id <= high; id++)
        if ((id - low) % group < used && bits)
            bit_set(bits, (int32_t)id);
    return CPUSET_OK;
}

static int read_list(struct reader in, uint64_t *bits, int64_t limit, struct cpuset_fault *fault)
{
    if (in.at == in.length)
        return CPUSET_OK;
    do {
        int status = read_item(&in, bits, limit, fault);
        if (status)
            return status;
    } while (read_char(&in, ','));
    return in.at == in.length ? CPUSET_OK
                              : cpuset_fail(fault, CPUSET_E_SYNTAX, 0, -1, (int64_t)in.at);
}

int cpuset_list_parse(const char *text, size_t length, uint64_t *bits, size_t words,
                      struct cpuset_fault *fault)
{
    if (!text || !bits)
        return cpuset_fail(fault, CPUSET_E_ARGUMENT, 0, -1, -1);
    int64_t limit = words > CPUSET_MAX_ID / 64 ? CPUSET_MAX_ID + 1 : (int64_t)words * 64;
    struct reader in = {text, length, 0};
    while (in.at < in.length && is_space(text[in.at]))
        in.at++;
    while (in.length > in.at && is_space(text[in.length - 1]))
        in.length--;
    /* Read twice: a text that turns out wrong must leave `bits` as it was. */
    int status = read_list(in, NULL, limit, fault);
    return status ? status : read_list(in, bits, limit, fault);
}

struct writer {
    char *out;
    size_t size, length;
};

static void write_char(struct writer *to, char c)
{
    if (to->length + 1 < to->size)
        to->out[to->length] = c;
    to->length++;
}

static void write_number(struct writer *to, size_t number)
{
    char digits[24];
    int count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    while (count)
        write_char(to, digits[--count]);
}

size_t cpuset_list_format(const uint64_t *bits, size_t words, char *out, size_t size)
{
    struct writer to = {out, out ? size : 0, 0};
    size_t end = words * 64, low = 0;
    while (low < end) {
        uint64_t rest = bits[low / 64] >> (low % 64);
        if (!rest) {
            low = (low / 64 + 1) * 64;
            continue;
        }
        low += (size_t)bit_first(rest);
        size_t high = low;
        while (high + 1 < end && (bits[(high + 1) / 64] >> ((high + 1) % 64) & 1U))
            high++;
        if (to.length)
            write_char(&to, ',');
        write_number(&to, low);
        if (high > low) {
            write_char(&to, '-');
            write_number(&to, high);
        }
        low = high + 1;
    }
    if (to.size)
        to.out[to.length < to.size ? to.length : to.size - 1] = '\0';
    return to.length;
}
