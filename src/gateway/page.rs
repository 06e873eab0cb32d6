//! The list of devices at `/`, for people. Its links are relative, so that it works below another path.

use super::admin::state;
use super::problem::escape;
use super::{Device, House};

/// The page.
pub(super) fn page(house: &House) -> String {
    let rows: String = house.devices.iter().map(|device| row(device)).collect();
    let troubles: Vec<_> = house.folders.iter().filter_map(|folder| folder.trouble()).collect();
    let told = house.broken.iter().chain(&troubles).chain(&house.warnings);
    let warnings: String = told.map(|warning| format!("<li>{}</li>", escape(warning))).collect();
    let warnings = if warnings.is_empty() { warnings } else { format!("<ul>{warnings}</ul>") };
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>keyward</title><style>{STYLE}</style>\
         <h1>keyward</h1>{warnings}<main><table><thead><tr><th>Device<th>Vendor<th>State<th>What to do<th>Session until<th>Certificate\
         <th>Requests<th>Errors<th>Logins</tr></thead><tbody>{rows}</tbody></table></main>\
         <p><a href=\"-/devices\">JSON</a> · <a href=\"metrics\">metrics</a></p></html>\n"
    )
}

const STYLE: &str = "body{font:1rem/1.5 system-ui;margin:2rem auto;max-width:75rem;padding:0 1rem}\
    table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .8rem .3rem 0;vertical-align:top}\
    thead th{border-bottom:1px solid}td.number{text-align:right}time{white-space:nowrap}\
    main{overflow-x:auto}li{white-space:pre-wrap}";

fn row(device: &Device) -> String {
    let condition = state(device);
    let (requests, errors, logins) = device.figures.totals();
    let ends = device
        .keeper
        .snapshot()
        .expires_at
        .map_or_else(|| "–".to_owned(), |end| format!("<time>{end}</time>"));
    let detail = condition.detail.map(|detail| escape(&detail)).unwrap_or_default();
    format!(
        "<tr><th scope=\"row\"><a href=\"{0}/\">{0}</a></th><td>{1}</td><td>{2}</td><td>{detail}</td>\
         <td>{3}</td><td>{4}</td><td class=\"number\">{requests}</td><td class=\"number\">{errors}</td>\
         <td class=\"number\">{logins}</td></tr>",
        escape(&device.name),
        device.make.name,
        condition.name,
        ends,
        certificate(device),
    )
}

fn certificate(device: &Device) -> String {
    let pinned = device.upstream.pinned();
    let taken_over = pinned.as_ref().and_then(|pinned| pinned.taken_over_at);
    let Some(shown) = pinned.map(|pinned| pinned.certificate).or_else(|| device.upstream.certificate())
    else {
        return "–".to_owned();
    };
    let followed =
        taken_over.map(|at| format!(", re-issued by the device, taken over {at}")).unwrap_or_default();
    let whole = shown.fingerprint();
    // The rest of it is there for who hovers, and in /-/devices.
    let short: String = whole.chars().take(11).collect();
    format!("<code title=\"{whole}\">{short}…</code> until <time>{}</time>{followed}", shown.not_after)
}
