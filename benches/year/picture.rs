//! The picture: minutes lost and calls, one row per strategy.

use std::fmt::Write;

use serde_json::Value;
use support::year::Name;

/// Two columns of bars: minutes lost in trading hours, on a logarithmic scale, and calls to the owner.
pub(crate) fn svg(years: u64, rows: &[(Name, Value)]) -> String {
    let height = TOP + ROW * rows.len() + 28;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"760\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"150\" y=\"20\">minutes lost in trading hours, a year</text>\n\
         <text x=\"470\" y=\"20\">calls a year: needed, needless, missed</text>\n"
    );
    for (nth, (name, row)) in rows.iter().enumerate() {
        let figure = |key: &str| row[key].as_f64().unwrap_or_default();
        let y = TOP + ROW * nth;
        let text = y + 15;
        let lost = figure("trading_minutes");
        let width = (lost.max(1.0).log10() * 44.0).round();
        let _ = writeln!(svg, "<text x=\"140\" y=\"{text}\" text-anchor=\"end\">{}</text>", name.title());
        let _ = writeln!(svg, "<rect x=\"150\" y=\"{y}\" width=\"{width}\" height=\"20\" fill=\"#4a7\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{text}\">{lost:.0}</text>", 156.0 + width);
        let mut x = 470.0;
        for (key, colour) in [("calls_needed", "#47a"), ("calls_needless", "#c33"), ("calls_missed", "#e92")] {
            let width = (figure(key) / 2.4).round();
            let _ = writeln!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"20\" fill=\"{colour}\"/>");
            x += width;
        }
        let calls =
            format!("{:.0}, {:.0}, {:.0}", figure("calls_needed"), figure("calls_needless"), figure("calls_missed"));
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{text}\">{calls}</text>", x + 6.0);
    }
    let foot = height - 10;
    let _ = writeln!(
        svg,
        "<text x=\"150\" y=\"{foot}\" fill=\"#666\">A simulation of {years} years. The left scale is logarithmic.</text>"
    );
    svg + "</svg>\n"
}

const TOP: usize = 34;
const ROW: usize = 28;
