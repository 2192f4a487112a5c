/** The one style sheet of the HTML report. Its hash stands in the page's content security policy. */
export const styleSheet = `
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6470;--paper:#fff;--card:#f6f7f9;--rule:#d9dde3;
--good:#176f3d;--bad:#b42318;--c0:#1f5fbf;--c1:#c2571a;--c2:#7a3fb0;--c3:#b42318;--band:#0000000a}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa4b2;--paper:#14171c;--card:#1c2128;
--rule:#333b46;--good:#4cc38a;--bad:#ff8a7a;--c0:#6ea8ff;--c1:#f3a261;--c2:#c79bf2;--c3:#ff8a7a;--band:#ffffff0d}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
header,main{max-width:1060px;margin:0 auto;padding:0 20px}
header{padding-top:28px;border-bottom:4px solid var(--rule)}
header.good{border-color:var(--good)}header.bad{border-color:var(--bad)}
h1{font-size:23px;margin:0 0 4px;overflow-wrap:anywhere}
header.good h1{color:var(--good)}header.bad h1{color:var(--bad)}
h2{font-size:17px;margin:34px 0 10px}
.sub,.note{color:var(--soft);font-size:13px;margin:6px 0 14px}
.reasons,.warnings{margin:8px 0;padding-left:20px}.reasons li{color:var(--bad);font-weight:600}
dl{display:grid;grid-template-columns:minmax(96px,max-content) 1fr;gap:4px 18px;margin:0}
dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums;min-width:60%}
th,td{padding:4px 10px;border-bottom:1px solid var(--rule);white-space:nowrap}
th{color:var(--soft);font-weight:600}.n{text-align:right}.t{text-align:left}
.w{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:260px}
figure{margin:14px 0;background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:10px 12px}
figcaption{font-size:13px;margin-bottom:4px}
svg{display:block;width:100%;height:auto}
.grid{stroke:var(--rule);stroke-width:1}
.tick,.band{fill:var(--soft);font:11px system-ui,sans-serif}
.b0{fill:none}.b1{fill:var(--band)}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}
.dot{fill:var(--paper);stroke-width:2}
.key{margin-left:14px;color:var(--soft)}
.key::before{content:"";display:inline-block;width:14px;height:3px;margin-right:6px;vertical-align:middle}
.k0::before{background:var(--c0)}.k1::before{background:var(--c1)}.k2::before{background:var(--c2)}.k3::before{background:var(--c3)}
details{margin:8px 0}summary{cursor:pointer;color:var(--soft)}
pre{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:12px;font-size:12px;overflow-x:auto}
main{padding-bottom:60px}
@media print{:root{--ink:#000;--soft:#444;--paper:#fff;--card:#fff;--rule:#bbb;--good:#176f3d;--bad:#b42318;
--c0:#1f5fbf;--c1:#c2571a;--c2:#7a3fb0;--c3:#b42318;--band:#0000000a}
figure,tr{break-inside:avoid}h2{break-after:avoid}.wide{overflow:visible}table{font-size:10px}th,td{padding:3px 6px}
.w{min-width:0}pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:9px}
details::details-content{content-visibility:visible;display:block}summary{display:none}}
`
