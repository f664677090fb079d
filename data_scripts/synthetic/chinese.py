"""What Chinese pages say. `synthetic.english` has the same names."""

from data_scripts.synthetic.words import names

FACE = "SC"  # of a font collection: simplified Chinese
SPACE = ""
INDENT = 2.0
NIL = "-"
STAMPS = names("已审核|已归档|已付款|已收讫|副本|复核无误")

# Receipts
SHOPS = names("街角面包店|绿叶超市|山下农场|老磨坊商店|江边书店|星光杂货|阳光厨房|清心茶馆")
STREETS = names("人民路|解放街|花园路|市场街|建设路|公园大道|滨江路|车站路")
TOWNS = names("临江市|新安县|东湖区|西山区|青云镇|南桥镇|北湖区|长宁区")
ADDRESS = "{town}{street}"
ITEMS = names(
    "苹果|香蕉|红茶|全麦面包|黄油|胡萝卜|奶酪|咖啡|奶油|黑巧克力|鸡蛋|面粉|葡萄|蜂蜜|果酱|柠檬|牛奶|蘑菇|面条|燕麦|橄榄油|洋葱|橙汁"
    "|酸奶|梨|胡椒|土豆|大米|食盐|香皂|菠菜|白糖|西红柿|核桃|豆腐|酱油"
)
FOOTERS = names("谢谢惠顾|欢迎再次光临|感谢您的光临|祝您愉快|期待再见")
TOTAL, CASH, CHANGE = "合计", "现金", "找零"

# Statements
COMPANY = "{name}{form}"
COMPANY_NAMES = names("华岭|明湖|东方云|金石|新海|远山|青松|北辰|长河|瑞安|盛和")
COMPANY_FORMS = names("股份有限公司|集团股份有限公司|科技有限公司|食品股份有限公司|能源有限公司|物流有限公司")
REPORT = "{year}年年度报告"
BALANCE_TITLES = names("资产负债表|合并资产负债表|母公司资产负债表")
# In the order of the balance sheets' titles.
INCOME_TITLES = names("利润表|合并利润表|母公司利润表")
DATES = names("12月31日|6月30日|3月31日|9月30日")
AT_DATE, PERIOD, YEAR = "{year}年{date}", "截至{date}止年度", "{year}年"
FOR_PERIOD = "截至{year}年{date}止年度"
UNITS = names("单位：万元|单位：元|单位：人民币千元|单位：百万元|金额单位：人民币万元")
HEAD, NOTE = "项目", "附注"
STATEMENT_FOOTNOTES = names(
    "后附财务报表附注为本财务报表的组成部分。|附注为财务报表的组成部分。|本报表应与附注一并阅读。"
)
RESTATED = "* 已重述，见附注{note}。"

NON_CURRENT_ASSETS = names("长期股权投资|投资性房地产|固定资产|在建工程|使用权资产|无形资产|商誉|递延所得税资产")
CURRENT_ASSETS = names("货币资金|应收票据|应收账款|预付款项|其他应收款|存货|合同资产")
EQUITY = names("股本|资本公积|其他综合收益|盈余公积")
NON_CURRENT_LIABILITIES = names("长期借款|应付债券|租赁负债|预计负债|递延收益|递延所得税负债")
CURRENT_LIABILITIES = names("短期借款|应付票据|应付账款|合同负债|应付职工薪酬|应交税费|其他应付款")
BALANCE = {
    "assets": "资产",
    "non_current_assets": "非流动资产：",
    "total_non_current_assets": "非流动资产合计",
    "current_assets": "流动资产：",
    "total_current_assets": "流动资产合计",
    "total_assets": "资产总计",
    "equity_and_liabilities": "负债和所有者权益",
    "equity": "所有者权益：",
    "retained": "未分配利润",
    "profit": "本年净利润",
    "total_equity": "所有者权益合计",
    "non_current_liabilities": "非流动负债：",
    "total_non_current_liabilities": "非流动负债合计",
    "current_liabilities": "流动负债：",
    "total_current_liabilities": "流动负债合计",
    "total_liabilities": "负债合计",
    "total_equity_and_liabilities": "负债和所有者权益总计",
}
OPERATING_COSTS = names("税金及附加|销售费用|管理费用|研发费用|资产减值损失")
INCOME = {
    "revenue": "营业收入",
    "cost": "营业成本",
    "gross": "毛利",
    "other": "其他收益",
    "operating": "营业利润",
    "finance_income": "利息收入",
    "finance_costs": "利息费用",
    "before_tax": "利润总额",
    "tax": "所得税费用",
    "profit": "净利润",
    "attributable": "按所有权归属分类：",
    "owners": "归属于母公司所有者的净利润",
    "others": "少数股东损益",
}

# Articles
JOURNALS = names("野外研究学报|测量通讯|河流与土壤|方法评论")
RUNNING_HEAD = "{journal}  {year}年第{volume}期"
TITLES = names(
    "{place}{thing}的{Change}|{place}{thing}的一个简单模型|用{method}测量{thing}|{thing}与{thing2}：以{place}为例"
    "|{method}在{thing}研究中的应用"
)
SURNAMES = names("王明|李华|张伟|刘洋|陈静|杨帆|赵敏|黄磊|周涛|吴迪|徐丽|孙强|胡敏|高峰")
AND = "，"
HEADINGS = names("引言|相关工作|数据|研究区域|方法|模型|实验|结果|讨论|局限|结论")
SENTENCES = names(
    "{place}的{thing}与{thing2}之间存在{adjective}的关系。"
    "|我们在{number}个站点测量了{thing}，发现它在{season}{verb}。"
    "|{year}年，{percent}的样本显示{thing}有{adjective}的变化。"
    "|这与此前关于{thing}的研究一致[{reference}]。"
    "|{method}给出了{adjective}的估计，尽管{thing}{verb}。"
    "|当{thing2}{adjective}时，{thing}为何{verb}尚不清楚。"
    "|每个样本都经过称重（平均{number}克），并保存{number}天。"
    "|结果表明，{method}适用于{place}。"
    "|因此，我们在{season}观测了{thing}，并在{season2}再次观测。"
    "|{season}与{season2}之间的差异为{percent}，属于{adjective}的变化。"
    "|如果没有{method}，{thing}的变化就会被误差掩盖[{reference}，{reference2}]。"
    "|{thing}的数值{adjective}，并不意味着{thing2}{verb}。"
    "|如图1所示，{thing}从{season}到{season2}{verb}。"
    "|表1列出了所有站点的{thing}。"
)
SLOTS = {
    "Change": names("增长|下降|季节变化|分布特征|长期变化"),
    "thing": names("水位|土壤湿度|气温|叶面积|粮食产量|含沙量|河流流量|积雪深度|含盐量|光照强度"),
    "thing2": names("降雨量|风速|河宽|株高|根系深度|云量|林木密度|坡度"),
    "place": names("北部山谷|小型河流|沿海农田|高山湖泊|天然林|干旱平原|高地草甸|浅水海湾"),
    "method": names("线性回归|重复采样|直接观测|卫星成像|精确称重|光谱分析"),
    "adjective": names("较小|较大|稳定|显著|微弱|可靠|明显|局部|适中|清晰|意外|强烈"),
    "verb": names("持续上升|逐渐下降|有所波动|保持不变|呈现日变化|缓慢增长|逐步恢复"),
    "season": names("春季|初夏|三月|雨季|四月"),
    "season2": names("秋季|夏末|十月|旱季|十一月"),
}
FIGURE_CAPTIONS = names(
    "图{n}  {thing}的逐年{Change}|图{n}  用{method}测得的{place}{thing}"
    "|图{n}  {season}至{season2}的平均{thing}（{number}个站点）"
)
TABLE_CAPTIONS = names(
    "表{n}  {year}年各站点的{thing}|表{n}  {place}的{method}结果|表{n}  各站点的平均{thing}与{thing2}"
)
SITES = names("白沙|桦树岭|清水湾|东溪|枫林|高桥|石门|临河|柳庄")
SITE, MEASURED, MEAN = "站点", ("均值", "误差", "最大", "最小", "占比"), "平均"
GROUPS = names("春季|秋季|2019年|2020年|旱季|雨季")
AXES = names("年|日|站点|深度|时")
