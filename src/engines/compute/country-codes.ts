/** ISO 3166-1: the three letters of a country's two, by continent (GeoNames' assignment). */
const byContinent: Readonly<Record<string, string>> = {
  AF: `AO:AGO BF:BFA BI:BDI BJ:BEN BW:BWA CD:COD CF:CAF CG:COG CI:CIV CM:CMR CV:CPV DJ:DJI DZ:DZA EG:EGY EH:ESH ER:ERI
    ET:ETH GA:GAB GH:GHA GM:GMB GN:GIN GQ:GNQ GW:GNB KE:KEN KM:COM LR:LBR LS:LSO LY:LBY MA:MAR MG:MDG ML:MLI MR:MRT
    MU:MUS MW:MWI MZ:MOZ NA:NAM NE:NER NG:NGA RE:REU RW:RWA SC:SYC SD:SDN SH:SHN SL:SLE SN:SEN SO:SOM SS:SSD ST:STP
    SZ:SWZ TD:TCD TG:TGO TN:TUN TZ:TZA UG:UGA YT:MYT ZA:ZAF ZM:ZMB ZW:ZWE`,
  AN: 'AQ:ATA BV:BVT GS:SGS HM:HMD TF:ATF',
  AS: `AE:ARE AF:AFG AM:ARM AZ:AZE BD:BGD BH:BHR BN:BRN BT:BTN CC:CCK CN:CHN CX:CXR GE:GEO HK:HKG ID:IDN IL:ISR IN:IND
    IO:IOT IQ:IRQ IR:IRN JO:JOR JP:JPN KG:KGZ KH:KHM KP:PRK KR:KOR KW:KWT KZ:KAZ LA:LAO LB:LBN LK:LKA MM:MMR MN:MNG
    MO:MAC MV:MDV MY:MYS NP:NPL OM:OMN PH:PHL PK:PAK PS:PSE QA:QAT SA:SAU SG:SGP SY:SYR TH:THA TJ:TJK TM:TKM TR:TUR
    TW:TWN UZ:UZB VN:VNM YE:YEM`,
  EU: `AD:AND AL:ALB AT:AUT AX:ALA BA:BIH BE:BEL BG:BGR BY:BLR CH:CHE CY:CYP CZ:CZE DE:DEU DK:DNK EE:EST ES:ESP FI:FIN
    FO:FRO FR:FRA GB:GBR GG:GGY GI:GIB GR:GRC HR:HRV HU:HUN IE:IRL IM:IMN IS:ISL IT:ITA JE:JEY LI:LIE LT:LTU LU:LUX
    LV:LVA MC:MCO MD:MDA ME:MNE MK:MKD MT:MLT NL:NLD NO:NOR PL:POL PT:PRT RO:ROU RS:SRB RU:RUS SE:SWE SI:SVN SJ:SJM
    SK:SVK SM:SMR UA:UKR VA:VAT`,
  NA: `AG:ATG AI:AIA AW:ABW BB:BRB BL:BLM BM:BMU BQ:BES BS:BHS BZ:BLZ CA:CAN CR:CRI CU:CUB CW:CUW DM:DMA DO:DOM GD:GRD
    GL:GRL GP:GLP GT:GTM HN:HND HT:HTI JM:JAM KN:KNA KY:CYM LC:LCA MF:MAF MQ:MTQ MS:MSR MX:MEX NI:NIC PA:PAN PM:SPM
    PR:PRI SV:SLV SX:SXM TC:TCA TT:TTO US:USA VC:VCT VG:VGB VI:VIR`,
  OC: `AS:ASM AU:AUS CK:COK FJ:FJI FM:FSM GU:GUM KI:KIR MH:MHL MP:MNP NC:NCL NF:NFK NR:NRU NU:NIU NZ:NZL PF:PYF PG:PNG
    PN:PCN PW:PLW SB:SLB TK:TKL TL:TLS TO:TON TV:TUV UM:UMI VU:VUT WF:WLF WS:WSM`,
  SA: 'AR:ARG BO:BOL BR:BRA CL:CHL CO:COL EC:ECU FK:FLK GF:GUF GY:GUY PE:PER PY:PRY SR:SUR UY:URY VE:VEN',
}

const countries = new Map<string, { readonly continent: string; readonly letters: string }>()
for (const [continent, text] of Object.entries(byContinent))
  for (const pair of text.split(/\s+/)) countries.set(pair.slice(0, 2), { continent, letters: pair.slice(3) })

/** Two letters of the continent of a country's two-letter code. */
export function continentOf(country: string): string | undefined {
  return countries.get(country)?.continent
}

export function threeLetters(country: string): string | undefined {
  return countries.get(country)?.letters
}
