"""Make s2s_map/regions/data/country_names.json: what countries are called, by ISO code.

    pip install babel==2.19.0 pycountry==26.2.16
    python workflows/prepare/prepare_country_names.py

Names are those of CLDR (by way of Babel, Unicode licence) in a country's own languages and in
twelve that many people read, official names and their usual order ("Korea, Republic of" is
"Republic of Korea", too) from ISO 3166 as listed by pycountry, and those below: endonyms in Latin
letters and former names. Babel and pycountry are no dependencies of the project.
"""

from __future__ import annotations

import json
from pathlib import Path

import pycountry
from babel import Locale
from babel.core import UnknownLocaleError
from babel.languages import get_official_languages

TARGET = Path(__file__).resolve().parents[2] / "s2s_map/regions/data/country_names.json"
READ = ("en", "fr", "es", "pt", "de", "it", "ru", "ar", "zh", "ja", "hi", "id")
ALSO = {
    "AL": ["Shqiperia"],
    "AM": ["Hayastan"],
    "AE": ["UAE", "Emirates"],
    "BA": ["Bosnia"],
    "BT": ["Druk Yul"],
    "CD": ["Congo-Kinshasa", "DR Congo", "DRC"],
    "CG": ["Congo-Brazzaville", "Republic of Congo"],
    "CI": ["Ivory Coast"],
    "CN": ["Zhongguo", "Mainland China", "PR China", "PRC"],
    "CZ": ["Czech Republic", "Česká republika"],
    "DZ": ["Al-Jazair"],
    "EG": ["Misr"],
    "ET": ["Ityopya"],
    "GB": ["United Kingdom of Great Britain", "U.K."],
    "GE": ["Sakartvelo"],
    "GR": ["Hellas", "Ellada", "Hellenic Republic"],
    "IE": ["Republic of Ireland"],
    "IN": ["Bharat"],
    "IR": ["Persia"],
    "JO": ["Al-Urdun"],
    "JP": ["Nippon", "Nihon"],
    "KH": ["Kampuchea"],
    "KP": ["DPRK", "Choson"],
    "KR": ["Hanguk", "ROK"],
    "LB": ["Lubnan"],
    "LK": ["Ceylon"],
    "MA": ["Al-Maghrib", "Maghrib"],
    "MK": ["FYROM", "Severna Makedonija"],
    "MM": ["Burma"],
    "MN": ["Mongol Uls"],
    "NL": ["Holland"],
    "NP": ["Nepal"],
    "NZ": ["Aotearoa"],
    "PG": ["PNG"],
    "RS": ["Srbija"],
    "RU": ["Rossiya", "Russia"],
    "SA": ["KSA"],
    "SZ": ["Swaziland"],
    "TH": ["Siam", "Prathet Thai"],
    "TL": ["East Timor"],
    "TR": ["Turkey", "Turkiye"],
    "UA": ["Ukraina"],
    "US": ["U.S.A.", "U.S.", "United States of America"],
    "VA": ["Vatican City State"],
}


def main() -> None:
    """Write the table."""
    found = {country.alpha_2: names_of(country) for country in pycountry.countries}
    text = json.dumps(dict(sorted(found.items())), ensure_ascii=False, indent=0)
    TARGET.write_text(text + "\n", encoding="utf-8")
    print(f"{len(found)} countries, {sum(map(len, found.values()))} names")


def names_of(country) -> list[str]:
    """Return all names of a country, its own languages first, each once."""
    code = country.alpha_2
    own = get_official_languages(code, regional=True, de_facto=True)
    names = [territory_name(language, code) for language in (*own, *READ)]
    for field in ("name", "official_name", "common_name"):
        name = getattr(country, field, "")
        names += [name, in_usual_order(name)]
    names += ALSO.get(code, [])
    return list(dict.fromkeys(" ".join(name.split()) for name in names if name and name != code))


def territory_name(language: str, code: str) -> str:
    """Return CLDR's name of a country in a language; empty where there is none."""
    try:
        return Locale.parse(language.replace("-", "_")).territories.get(code, "")
    except (UnknownLocaleError, ValueError):
        return ""


def in_usual_order(name: str) -> str:
    """Return "Republic of Korea" for "Korea, Republic of"."""
    first, comma, last = name.partition(", ")
    return f"{last} {first}" if comma else name


if __name__ == "__main__":
    main()
