# SPDX-License-Identifier: Apache-2.0
# Readings (lines of "temp,date" such as "47.8,2010/01/01 00:00:00", UTC, degrees Fahrenheit) to a
# configuration file for curl, one HTTP request each, or to CloudEvents in JSON, one a line. What is
# wrong is said with file and line, and nothing is to be sent then (status 2). In the C locale, as it
# looks at bytes:
#     LC_ALL=C awk -v url=http://127.0.0.1:8080 -f readings.awk FILE > requests.curl
#     LC_ALL=C awk -v device=NAME -f readings.awk FILE | millrace send --events
BEGIN {
    FS = ","
    number = "^-?(0|[1-9][0-9]*)([.][0-9]+)?$" # a number as JSON has it
    date = "^[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9]$"
    split("31 28 31 30 31 30 31 31 30 31 30 31", days, " ")
}

function bad(what) {
    problems++
    if (problems <= 10)
        printf "%s:%d: %s\n", harmless(FILENAME), FNR, harmless(what) > "/dev/stderr"
}

# Only what is ASCII and no control character: a terminal obeys some of the rest.
function harmless(text) {
    gsub(/[^ -~]/, "?", text)
    return text
}

function leap(year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

# A date that is on the calendar, between 1678 and 2261, which nanoseconds in 64 bits can hold.
function is_date(text,    part, last) {
    if (text !~ date)
        return 0
    split(text, part, "[/ :]")
    last = days[part[2] + 0] + (part[2] + 0 == 2 && leap(part[1] + 0))
    return part[1] >= 1678 && part[1] <= 2261 && part[2] >= 1 && part[2] <= 12 && \
           part[3] >= 1 && part[3] <= last && part[4] <= 23 && part[5] <= 59 && part[6] <= 59
}

FNR == 1 { sub(/^\357\273\277/, "") } # a byte order mark

{ sub(/\r$/, "") }

FNR == 1 {
    if ($0 != "temp,date")
        bad("expected the header line \"temp,date\", got \"" substr($0, 1, 60) "\"")
    next
}

/^$/ { next }

NF != 2 || $1 !~ number || !is_date($2) {
    bad("expected a reading such as \"47.8,2010/01/01 00:00:00\", got \"" substr($0, 1, 60) "\"")
    next
}

$2 in seen {
    bad("the time " $2 " is on line " seen[$2] " already; two readings of one series at one time are one point in InfluxDB")
    next
}

{
    seen[$2] = FNR
    time = $2
    gsub("/", "-", time)
    sub(" ", "T", time)
    count++
    if (device != "") {
        printf "{\"specversion\":\"1.0\",\"id\":\"%s-%sZ\",\"source\":\"/noaa/%s\",\"type\":\"io.millrace.event.v1\"," \
               "\"subject\":\"temperature\",\"application\":\"noaa\",\"device\":\"%s\",\"time\":\"%sZ\"," \
               "\"datacontenttype\":\"application/json\",\"data\":{\"fahrenheit\":%s}}\n", device, time, device, device, time, $1
        next
    }
    if (count > 1)
        print "next"
    printf "url = \"%s/v1/temperature?application=noaa&device=san-francisco&time=%sZ\"\n", url, time
    print "header = \"Content-Type: application/json\""
    printf "header = \"Idempotency-Key: san-francisco-%sZ\"\n", time
    printf "data = \"{\\\"fahrenheit\\\":%s}\"\n", $1
    print "retry = 20\nretry-connrefused\nretry-delay = 1\nmax-time = 30\noutput = /dev/null\nwrite-out = \"%{http_code}\\n\""
}

END {
    if (!problems && !count) {
        printf "%s: no reading in it\n", harmless(FILENAME) > "/dev/stderr"
        exit 2
    }
    if (problems > 10)
        printf "... and %d more\n", problems - 10 > "/dev/stderr"
    exit problems ? 2 : 0
}
