# SPDX-License-Identifier: Apache-2.0
# A chart from InfluxDB's CSV answer to SELECT MIN(..), MEAN(..), MAX(..) ... GROUP BY time(..), read with
# epoch=s: columns name,tags,time,min,mean,max. A row an interval: date, mean, and a bar from min to max.
BEGIN { FS = ","; WIDTH = 50 }

# Days since 1970 to a date (Howard Hinnant's civil_from_days).
function date(seconds,    z, era, doe, yoe, doy, mp, d, m, y) {
    z = int((seconds - (seconds < 0 ? 86399 : 0)) / 86400) + 719468
    era = int((z - (z < 0 ? 146096 : 0)) / 146097)
    doe = z - era * 146097
    yoe = int((doe - int(doe / 1460) + int(doe / 36524) - int(doe / 146096)) / 365)
    doy = doe - (365 * yoe + int(yoe / 4) - int(yoe / 100))
    mp = int((5 * doy + 2) / 153)
    d = doy - int((153 * mp + 2) / 5) + 1
    m = mp < 10 ? mp + 3 : mp - 9
    y = yoe + era * 400 + (m <= 2)
    return sprintf("%04d-%02d-%02d", y, m, d)
}

$3 ~ /^-?[0-9]+$/ && $5 != "" {
    rows++
    time[rows] = $3; low[rows] = $4; mean[rows] = $5; high[rows] = $6
    if (rows == 1 || $4 + 0 < least) least = $4 + 0
    if (rows == 1 || $6 + 0 > most) most = $6 + 0
}

END {
    span = most > least ? most - least : 1
    printf "  %-10s  %6s  %-6.1f%*s%6.1f\n", "from", "mean", least, WIDTH - 11, "", most
    for (i = 1; i <= rows; i++) {
        from = int((low[i] - least) / span * (WIDTH - 1))
        to = int((high[i] - least) / span * (WIDTH - 1))
        at = int((mean[i] - least) / span * (WIDTH - 1))
        bar = ""
        for (x = 0; x < WIDTH; x++)
            bar = bar (x == at ? "#" : x >= from && x <= to ? "-" : " ")
        printf "  %s  %6.1f  %s\n", date(time[i]), mean[i], bar
    }
}
