"""What English pages say. `synthetic.chinese` has the same names."""

from data_scripts.synthetic.words import names

FACE = ""  # of a font collection
SPACE = " "  # between words
INDENT = 1.2  # of a paragraph's first line, in font sizes
NIL = "-"
STAMPS = names("APPROVED|ARCHIVED|CHECKED|COPY|FILED|PAID|POSTED|RECEIVED")

# Receipts
SHOPS = names(
    "Corner Bakery|Green Market|Hill Farm Shop|Old Mill Store|River Books|Star Grocery|Sunny Kitchen|The Tea House"
)
STREETS = names("Bridge Street|Church Lane|Garden Road|Market Square|Mill Lane|Park Avenue|River Road|Station Road")
TOWNS = names("Ashford|Brookfield|Easton|Fairview|Lakewood|Milton|Newport|Weston")
ADDRESS = "{street}, {town}"
ITEMS = names(
    "Apples|Bananas|Black tea|Brown bread|Butter|Carrots|Cheese|Coffee|Cream|Dark chocolate|Eggs|Flour|Grapes"
    "|Honey|Jam|Lemons|Milk|Mushrooms|Noodles|Oats|Olive oil|Onions|Orange juice|Pasta|Pears|Pepper|Potatoes"
    "|Rice|Salt|Soap|Spinach|Sugar|Tomatoes|Walnuts|White bread|Yogurt"
)
FOOTERS = names("Thank you|Come again soon|Thank you for your visit|See you soon|Have a nice day")
TOTAL, CASH, CHANGE = "Total", "Cash", "Change"

# Statements
COMPANY = "{name} {form}"
COMPANY_NAMES = names(
    "Alder|Beacon|Brightwater|Cobalt|Elmwood|Fairhaven|Granite|Larkfield|Northgate|Redwood|Silverline"
)
COMPANY_FORMS = names("plc|Group plc|Holdings Ltd|& Sons Ltd|Foods & Drinks plc|Industries|Energy Ltd|Logistics")
REPORT = "Annual report {year}"
BALANCE_TITLES = names(
    "Balance sheet|Consolidated balance sheet|Statement of financial position"
    "|Consolidated statement of financial position"
)
# In the order of the balance sheets' titles.
INCOME_TITLES = names(
    "Income statement|Consolidated income statement|Statement of profit or loss"
    "|Consolidated statement of profit or loss"
)
DATES = names("31 December|31 March|30 June|30 September")
AT_DATE, PERIOD, YEAR = "as at {date} {year}", "Year ended {date}", "{year}"
FOR_PERIOD = "for the year ended {date} {year}"
UNITS = names(
    "in thousands of EUR|in millions of EUR|in thousands of USD|in thousands of GBP|in millions of CHF"
    "|All amounts in thousands of EUR|Amounts in USD thousand"
)
HEAD, NOTE = "", "Note"
STATEMENT_FOOTNOTES = names(
    "The notes are an integral part of these statements."
    "|The accompanying notes form part of the financial statements."
    "|Amounts may not add up because of rounding elsewhere in this report."
)
RESTATED = "* Restated, see note {note}."

NON_CURRENT_ASSETS = names(
    "Property, plant and equipment|Right-of-use assets|Goodwill|Intangible assets|Investments in associates"
    "|Deferred tax assets|Other financial assets"
)
CURRENT_ASSETS = names(
    "Inventories|Trade & other receivables|Contract assets|Current tax assets|Other current assets"
    "|Cash and cash equivalents"
)
EQUITY = names("Share capital|Share premium|Other reserves|Treasury shares")
NON_CURRENT_LIABILITIES = names(
    "Borrowings|Lease liabilities|Provisions|Deferred tax liabilities|Employee benefits|Other liabilities"
)
CURRENT_LIABILITIES = names(
    "Trade & other payables|Borrowings|Lease liabilities|Contract liabilities|Income tax payable|Provisions"
)
BALANCE = {
    "assets": "Assets",
    "non_current_assets": "Non-current assets",
    "total_non_current_assets": "Total non-current assets",
    "current_assets": "Current assets",
    "total_current_assets": "Total current assets",
    "total_assets": "Total assets",
    "equity_and_liabilities": "Equity and liabilities",
    "equity": "Equity",
    "retained": "Retained earnings",
    "profit": "Profit for the year",
    "total_equity": "Total equity",
    "non_current_liabilities": "Non-current liabilities",
    "total_non_current_liabilities": "Total non-current liabilities",
    "current_liabilities": "Current liabilities",
    "total_current_liabilities": "Total current liabilities",
    "total_liabilities": "Total liabilities",
    "total_equity_and_liabilities": "Total equity and liabilities",
}
OPERATING_COSTS = names(
    "Selling & distribution expenses|Administrative expenses|Research & development|Depreciation|Other expenses"
)
INCOME = {
    "revenue": "Revenue",
    "cost": "Cost of sales",
    "gross": "Gross profit",
    "other": "Other operating income",
    "operating": "Operating profit",
    "finance_income": "Finance income",
    "finance_costs": "Finance costs",
    "before_tax": "Profit before tax",
    "tax": "Income tax expense",
    "profit": "Profit for the year",
    "attributable": "Attributable to:",
    "owners": "Owners of the parent",
    "others": "Non-controlling interests",
}

# Articles
JOURNALS = names("Journal of Field Studies|Notes on Measurement|Letters on Rivers and Soils|Review of Plain Methods")
RUNNING_HEAD = "{journal} {volume} ({year})"
TITLES = names(
    "{Change} of {thing} in {place}|A simple model of {thing} in {place}|Measuring {thing} by {method}"
    "|{thing} and {thing2}: a study of {place}|How {method} helps to understand {thing}"
)
SURNAMES = names("Adler|Bennett|Castillo|Dubois|Eriksen|Fischer|Garcia|Hansen|Ivanova|Jones|Keller|Lindt|Moreau|Novak")
AND = " and "
HEADINGS = names(
    "Introduction|Related work|Data|Study area|Method|Model|Experiments|Results|Discussion|Limits|Conclusion"
)
SENTENCES = names(
    "The {adjective} {thing} of {place} {verb} with the {thing2}."
    "|We measured the {thing} at {number} sites and found that it {verb} in {season}."
    "|In {year}, {percent} of the samples showed a {adjective} change of the {thing}."
    "|This agrees with earlier work on {thing} [{reference}]."
    "|{method} gives a {adjective} estimate, although the {thing} {verb} slowly."
    "|It is not clear why the {thing} {verb} when the {thing2} is {adjective}."
    "|Each sample was weighed ({number} g on average) and stored for {number} days."
    "|Our results suggest that {method} is {adjective} for {place}."
    "|For this reason, the {thing} was observed in {season} and again in {season2}."
    "|The difference between {season} and {season2} was {percent}, which is {adjective}."
    "|Without {method}, the {thing} would have been lost among the errors [{reference}, {reference2}]."
    "|A {adjective} value of the {thing} does not mean that the {thing2} {verb}."
    "|As Figure 1 shows, the {thing} {verb} from {season} to {season2}."
    "|Table 1 lists the {thing} for all sites."
)
SLOTS = {
    "Change": names("Growth|Decline|Seasonal change|Distribution|Long-term change"),
    "thing": names(
        "water level|soil moisture|air temperature|leaf area|grain yield|sediment load|river flow|snow depth"
        "|salt content|light intensity"
    ),
    "thing2": names("rainfall|wind speed|stream width|plant height|root depth|cloud cover|tree density|slope"),
    "place": names(
        "northern valleys|small rivers|coastal fields|mountain lakes|old forests|dry plains|upland meadows|shallow bays"
    ),
    "method": names(
        "linear regression|repeated sampling|direct observation|satellite imaging|careful weighing|spectral analysis"
    ),
    "adjective": names("small|large|stable|marked|weak|reliable|seasonal|local|moderate|clear|surprising|strong"),
    "verb": names("increases|decreases|varies|remains constant|follows a daily pattern|grows|recovers"),
    "season": names("spring|early summer|March|the wet months|April"),
    "season2": names("autumn|late summer|October|the dry months|November"),
}
FIGURE_CAPTIONS = names(
    "Figure {n}. {Change} of the {thing} by year.|Figure {n}. The {thing} of {place}, measured by {method}."
    "|Figure {n}. Mean {thing} from {season} to {season2}; {number} sites."
)
TABLE_CAPTIONS = names(
    "Table {n}. The {thing} of all sites, {year}.|Table {n}. Results of {method} for {place}."
    "|Table {n}. Mean {thing} and {thing2} by site."
)
SITES = names("Ashdown|Birch Hill|Clearwater|Dunmore|Eastbrook|Fenwick|Glenrock|Hollow Creek|Ironbridge")
SITE, MEASURED, MEAN = "Site", ("Mean", "Error", "Max.", "Min.", "Share"), "All sites"
GROUPS = names("Spring|Autumn|2019|2020|Dry|Wet")
AXES = names("year|day|site|depth|hour")
