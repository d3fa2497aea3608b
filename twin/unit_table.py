"""The units that plants use, each with its common name, symbol, pint expression, UCUM code and UNECE code.

One line a unit: `name; symbol; pint; UCUM; UNECE; other names`. An empty field means that there is none; an empty
pint field means that the unit converts to nothing but itself. Codes are facts of the UCUM specification and of
UN/CEFACT Recommendation 20 (as published for OPC UA engineering units).

The first field is the canonical name, kept in definitions and shown by the APIs. Units of different kinds do not
convert into each other even where physics gives them equal base units (kW and kVA, N·m and J, percent and count).
"""

TABLE: dict[str, str] = {
    # The pint field of absolute temperatures names their degree: composed units (celsius/min) need the difference.
    "temperature": """
        celsius; °C; delta_degree_Celsius; Cel; CEL; degc, deg_c, deg c, degree celsius, degrees celsius, C, ℃
        fahrenheit; °F; delta_degree_Fahrenheit; [degF]; FAH; degf, deg_f, deg f, degrees fahrenheit, F, ℉
        kelvin; K; kelvin; K; KEL; degree kelvin
        rankine; °R; degree_Rankine; [degR]; A48; degree rankine
        """,
    "fraction": """
        percent; %; percent; %; P1; pct, per cent, percentage, %rh, percent rh
        permille; ‰; permille; [ppth]; NX; per mille, per mil
        ppm; ppm; ppm; [ppm]; 59; parts per million
        ppb; ppb; 1e-9; [ppb]; 61; parts per billion
        one; 1; dimensionless; 1; C62; dimensionless, ratio, fraction, unitless, none
        """,
    "count": """
        count; count; count; {count}; H87; counts, piece, pieces, pcs, pc, part, parts, each, unit, units, items, cycles
        """,
    "count rate": """
        count/s; count/s; count/second; {count}/s; ; pieces/s, parts/s, counts/s, pcs/s
        count/min; count/min; count/minute; {count}/min; ; pieces/min, parts/min, counts/min, pcs/min, bpm, bottles/min
        count/h; count/h; count/hour; {count}/h; ; pieces/h, parts/h, counts/h, pcs/h, uph, bottles/h, bph
        """,
    "length": """
        m; m; meter; m; MTR; metre, meter, metres, meters
        km; km; kilometer; km; KMT; kilometre, kilometer, kilometres, kilometers
        dm; dm; decimeter; dm; DMT; decimetre, decimeter
        cm; cm; centimeter; cm; CMT; centimetre, centimeter, centimetres, centimeters
        mm; mm; millimeter; mm; MMT; millimetre, millimeter, millimetres, millimeters
        um; µm; micrometer; um; 4H; micrometre, micrometer, micron, microns
        nm; nm; nanometer; nm; C45; nanometre, nanometer
        in; in; inch; [in_i]; INH; inch, inches
        ft; ft; foot; [ft_i]; FOT; foot, feet
        yd; yd; yard; [yd_i]; YRD; yard, yards
        mi; mi; mile; [mi_i]; SMI; mile, miles
        nmi; nmi; nautical_mile; [nmi_i]; NMI; nautical mile
        mil; mil; thou; [mil_i]; 77; thou, milli-inch
        """,
    "area": """
        m2; m²; meter**2; m2; MTK; square metre, square meter, sqm, m^2
        cm2; cm²; centimeter**2; cm2; CMK; square centimetre, square centimeter, cm^2
        mm2; mm²; millimeter**2; mm2; MMK; square millimetre, square millimeter, mm^2
        km2; km²; kilometer**2; km2; KMK; square kilometre, square kilometer, km^2
        ha; ha; hectare; har; HAR; hectare, hectares
        ft2; ft²; foot**2; [ft_i]2; FTK; square foot, square feet, sqft, ft^2
        in2; in²; inch**2; [in_i]2; INK; square inch, in^2
        """,
    "volume": """
        m3; m³; meter**3; m3; MTQ; cubic metre, cubic meter, cubic metres, cubic meters, m^3
        l; l; liter; L; LTR; litre, liter, litres, liters
        hl; hl; hectoliter; hL; HLT; hectolitre, hectoliter
        dl; dl; deciliter; dL; DLT; decilitre, deciliter
        cl; cl; centiliter; cL; CLT; centilitre, centiliter
        ml; ml; milliliter; mL; MLT; millilitre, milliliter, millilitres, milliliters
        ul; µl; microliter; uL; 4G; microlitre, microliter
        dm3; dm³; decimeter**3; dm3; DMQ; cubic decimetre, cubic decimeter, dm^3
        cm3; cm³; centimeter**3; cm3; CMQ; cubic centimetre, cubic centimeter, ccm, cc, cm^3
        mm3; mm³; millimeter**3; mm3; MMQ; cubic millimetre, cubic millimeter, mm^3
        gal; gal (US); gallon; [gal_us]; GLL; gallon, gallons, us gallon
        gal_uk; gal (UK); imperial_gallon; [gal_br]; GLI; imperial gallon, uk gallon
        bbl; bbl (US); oil_barrel; [bbl_us]; BLL; barrel, oil barrel, barrels
        ft3; ft³; foot**3; [ft_i]3; FTQ; cubic foot, cubic feet, cu ft, ft^3
        in3; in³; inch**3; [in_i]3; INQ; cubic inch, in^3
        """,
    "time": """
        s; s; second; s; SEC; second, seconds, sec, secs
        ms; ms; millisecond; ms; C26; millisecond, milliseconds
        us; µs; microsecond; us; B98; microsecond, microseconds
        ns; ns; nanosecond; ns; C47; nanosecond, nanoseconds
        min; min; minute; min; MIN; minute, minutes, mins
        h; h; hour; h; HUR; hour, hours, hr, hrs, operating hours
        d; d; day; d; DAY; day, days
        wk; wk; week; wk; WEE; week, weeks
        mo; mo; month; mo; MON; month, months
        y; y; year; a; ANN; year, years, yr
        """,
    "frequency": """
        Hz; Hz; hertz; Hz; HTZ; hertz
        kHz; kHz; kilohertz; kHz; KHZ; kilohertz
        MHz; MHz; megahertz; MHz; MHZ; megahertz
        GHz; GHz; gigahertz; GHz; A86; gigahertz
        mHz; mHz; millihertz; mHz; ; millihertz
        1/s; 1/s; 1/second; /s; C97; s-1, s^-1, per second, reciprocal second
        1/min; 1/min; 1/minute; /min; C94; min-1, min^-1, per minute
        1/h; 1/h; 1/hour; /h; H10; h-1, h^-1, per hour
        """,
    "rotational speed": """
        rpm; rpm; revolution/minute; {rev}/min; RPM; r/min, rev/min, revolutions per minute, u/min, M46
        rps; rps; revolution/second; {rev}/s; RPS; r/s, rev/s, revolutions per second
        rad/s; rad/s; radian/second; rad/s; 2A; radians per second
        deg/s; °/s; degree/second; deg/s; E96; degrees per second
        """,
    "angle": """
        deg; °; degree; deg; DD; degree, degrees, angular degree
        rad; rad; radian; rad; C81; radian, radians
        mrad; mrad; milliradian; mrad; C25; milliradian
        rev; rev; revolution; {rev}; M44; revolution, revolutions, turn, turns
        arcmin; '; arcminute; '; D61; arcminute, minute of arc
        arcsec; "; arcsecond; ''; D62; arcsecond, second of arc
        """,
    "speed": """
        m/s; m/s; meter/second; m/s; MTS; metre per second, meter per second, metres per second, meters per second, mps
        m/min; m/min; meter/minute; m/min; 2X; metre per minute, meter per minute
        m/h; m/h; meter/hour; m/h; M60; metre per hour, meter per hour
        cm/s; cm/s; centimeter/second; cm/s; 2M; centimetre per second
        mm/s; mm/s; millimeter/second; mm/s; C16; millimetre per second, millimeter per second
        mm/min; mm/min; millimeter/minute; mm/min; H81; millimetre per minute
        mm/h; mm/h; millimeter/hour; mm/h; H67; millimetre per hour
        um/s; µm/s; micrometer/second; um/s; ; micrometre per second
        km/h; km/h; kilometer/hour; km/h; KMH; kph, kmh, kilometre per hour, kilometer per hour
        mph; mph; mile/hour; [mi_i]/h; HM; mi/h, miles per hour
        ft/s; ft/s; foot/second; [ft_i]/s; FS; fps, feet per second
        ft/min; ft/min; foot/minute; [ft_i]/min; FR; fpm, feet per minute
        in/s; in/s; inch/second; [in_i]/s; IU; ips, inches per second
        kn; kn; knot; [kn_i]; KNT; knot, knots
        """,
    "acceleration": """
        m/s2; m/s²; meter/second**2; m/s2; MSK; m/s^2, m/s/s, metre per second squared, meter per second squared
        mm/s2; mm/s²; millimeter/second**2; mm/s2; M41; mm/s^2
        g_n; gₙ; standard_gravity; [g]; K40; gn, g0, g-force, gforce, gs, standard gravity
        mg_n; mgₙ; 1e-3*standard_gravity; m[g]; ; milli-g, millig
        ft/s2; ft/s²; foot/second**2; [ft_i]/s2; A73; ft/s^2
        """,
    "angular acceleration": """
        rad/s2; rad/s²; radian/second**2; rad/s2; 2B; rad/s^2
        deg/s2; °/s²; degree/second**2; deg/s2; M45; deg/s^2
        """,
    "mass": """
        kg; kg; kilogram; kg; KGM; kilogram, kilograms
        g; g; gram; g; GRM; gram, grams, gramme
        mg; mg; milligram; mg; MGM; milligram, milligrams
        ug; µg; microgram; ug; MC; microgram, micrograms
        t; t; metric_ton; t; TNE; tonne, tonnes, metric ton
        kt; kt; 1e3*metric_ton; kt; KTN; kilotonne
        lb; lb; pound; [lb_av]; LBR; lbs, pound, pounds
        oz; oz; ounce; [oz_av]; ONZ; ounce, ounces
        ton_us; ton (US); short_ton; [ston_av]; STN; short ton, us ton
        ton_uk; ton (UK); long_ton; [lton_av]; LTN; long ton, uk ton
        """,
    "density": """
        kg/m3; kg/m³; kilogram/meter**3; kg/m3; KMQ; kg/m^3, kilogram per cubic metre, kilogram per cubic meter
        g/m3; g/m³; gram/meter**3; g/m3; A93; g/m^3
        mg/m3; mg/m³; milligram/meter**3; mg/m3; GP; mg/m^3
        ug/m3; µg/m³; microgram/meter**3; ug/m3; GQ; ug/m^3
        g/cm3; g/cm³; gram/centimeter**3; g/cm3; 23; g/cm^3
        kg/l; kg/l; kilogram/liter; kg/L; B35; kilogram per litre
        g/l; g/l; gram/liter; g/L; GL; gram per litre, gram per liter
        mg/l; mg/l; milligram/liter; mg/L; M1; milligram per litre, milligram per liter
        ug/l; µg/l; microgram/liter; ug/L; H29; microgram per litre, microgram per liter
        lb/ft3; lb/ft³; pound/foot**3; [lb_av]/[ft_i]3; 87; lb/ft^3
        """,
    "area density": """
        kg/m2; kg/m²; kilogram/meter**2; kg/m2; 28; kg/m^2
        g/m2; g/m²; gram/meter**2; g/m2; GM; gsm, g/m^2, gram per square metre
        """,
    "force": """
        N; N; newton; N; NEW; newton, newtons
        kN; kN; kilonewton; kN; B47; kilonewton
        MN; MN; meganewton; MN; B73; meganewton
        mN; mN; millinewton; mN; C20; millinewton
        kgf; kgf; force_kilogram; kgf; B37; kilogram-force, kp, kilopond
        lbf; lbf; force_pound; [lbf_av]; C78; pound-force
        """,
    "pressure": """
        bar; bar; bar; bar; BAR; bars, bar(g), barg, bara, bar(a)
        mbar; mbar; millibar; mbar; MBR; millibar, millibars
        Pa; Pa; pascal; Pa; PAL; pascal, pascals
        hPa; hPa; hectopascal; hPa; A97; hectopascal
        kPa; kPa; kilopascal; kPa; KPA; kilopascal
        MPa; MPa; megapascal; MPa; MPA; megapascal
        GPa; GPa; gigapascal; GPa; A89; gigapascal
        mPa; mPa; millipascal; mPa; 74; millipascal
        psi; psi; pound_force_per_square_inch; [psi]; PS; psig, psia, lbf/in2, pound per square inch
        atm; atm; standard_atmosphere; atm; ATM; atmosphere, standard atmosphere
        at; at; technical_atmosphere; att; ATT; technical atmosphere, kgf/cm2
        torr; Torr; torr; ; UA; Torr
        mmHg; mmHg; millimeter_Hg; mm[Hg]; HN; mm hg
        inHg; inHg; inch_Hg; [in_i'Hg]; F79; in hg
        mmH2O; mmH2O; 1e-1*centimeter_H2O; mm[H2O]; ; mm h2o, mmwc
        cmH2O; cmH2O; centimeter_H2O; cm[H2O]; H78; cm h2o
        inH2O; inH2O; 2.54*centimeter_H2O; [in_i'H2O]; F78; in h2o, inwc
        """,
    "energy": """
        kWh; kWh; kilowatt_hour; kW.h; KWH; kilowatt hour, kilowatt-hour, kilowatthour, kilowatt hours, kW·h
        Wh; Wh; watt_hour; W.h; WHR; watt hour, watt-hour, W·h
        MWh; MWh; 1e3*kilowatt_hour; MW.h; MWH; megawatt hour, megawatt-hour, MW·h
        GWh; GWh; 1e6*kilowatt_hour; GW.h; GWH; gigawatt hour, GW·h
        J; J; joule; J; JOU; joule, joules
        kJ; kJ; kilojoule; kJ; KJO; kilojoule
        MJ; MJ; megajoule; MJ; 3B; megajoule
        GJ; GJ; gigajoule; GJ; GV; gigajoule
        mJ; mJ; millijoule; mJ; C15; millijoule
        cal; cal; calorie; cal_th; D35; calorie
        kcal; kcal; kilocalorie; kcal_th; K53; kilocalorie
        BTU; BTU; international_british_thermal_unit; [Btu_IT]; ; btu, british thermal unit
        """,
    "torque": """
        Nm; N·m; newton*meter; N.m; NU; N·m, N*m, newton metre, newton meter, newton-metre
        kNm; kN·m; kilonewton*meter; kN.m; B48; kN·m, kN*m, kilonewton metre
        mNm; mN·m; millinewton*meter; mN.m; D83; mN·m, mN*m, millinewton metre
        Ncm; N·cm; newton*centimeter; N.cm; F88; N·cm, N*cm, newton centimetre
        lbf.ft; lbf·ft; force_pound*foot; [lbf_av].[ft_i]; M92; lbf·ft, lbf*ft, ft-lb, ftlb, lb-ft, foot-pound
        lbf.in; lbf·in; force_pound*inch; [lbf_av].[in_i]; F21; lbf·in, lbf*in, in-lb, lb-in
        """,
    "power": """
        W; W; watt; W; WTT; watt, watts
        kW; kW; kilowatt; kW; KWT; kilowatt, kilowatts
        MW; MW; megawatt; MW; MAW; megawatt, megawatts
        GW; GW; gigawatt; GW; A90; gigawatt
        mW; mW; milliwatt; mW; C31; milliwatt
        uW; µW; microwatt; uW; D80; microwatt
        hp; hp; horsepower; [HP]; ; horsepower
        metric_hp; PS; metric_horsepower; ; HJ; metric horsepower, cv
        BTU/h; BTU/h; international_british_thermal_unit/hour; [Btu_IT]/h; 2I; btu/h, btu/hr, btuh
        TR; TR; refrigeration_ton; ; ; ton of refrigeration, refrigeration ton
        """,
    "apparent power": """
        VA; VA; volt_ampere; V.A; D46; volt ampere, V·A
        kVA; kVA; 1e3*volt_ampere; kV.A; KVA; kilovolt ampere, kV·A
        MVA; MVA; 1e6*volt_ampere; MV.A; MVA; megavolt ampere, MV·A
        """,
    "reactive power": """
        var; var; volt_ampere; ; D44; volt ampere reactive
        kvar; kvar; 1e3*volt_ampere; ; KVR; kilovar, K5
        Mvar; Mvar; 1e6*volt_ampere; ; MAR; megavar
        """,
    "reactive energy": """
        varh; varh; volt_ampere*hour; ; ; var hour
        kvarh; kvarh; 1e3*volt_ampere*hour; ; ; kvar hour
        """,
    "power density": """
        W/m2; W/m²; watt/meter**2; W/m2; D54; W/m^2, watt per square metre, watt per square meter
        kW/m2; kW/m²; kilowatt/meter**2; kW/m2; ; kW/m^2
        """,
    "mass flow": """
        kg/s; kg/s; kilogram/second; kg/s; KGS; kilogram per second
        kg/min; kg/min; kilogram/minute; kg/min; F31; kilogram per minute
        kg/h; kg/h; kilogram/hour; kg/h; E93; kilogram per hour, kg/hr
        g/s; g/s; gram/second; g/s; F29; gram per second
        g/min; g/min; gram/minute; g/min; F28; gram per minute
        g/h; g/h; gram/hour; g/h; F27; gram per hour
        t/h; t/h; metric_ton/hour; t/h; E18; tonne per hour, tph
        t/d; t/d; metric_ton/day; t/d; L71; tonne per day
        lb/h; lb/h; pound/hour; [lb_av]/h; 4U; lb/hr, pound per hour
        """,
    "volume flow": """
        l/min; l/min; liter/minute; L/min; L2; lpm, litre per minute, liter per minute, litres per minute
        l/s; l/s; liter/second; L/s; G51; litre per second, liter per second
        l/h; l/h; liter/hour; L/h; ; lph, litre per hour, liter per hour
        ml/min; ml/min; milliliter/minute; mL/min; 41; millilitre per minute
        ml/s; ml/s; milliliter/second; mL/s; 40; millilitre per second
        m3/s; m³/s; meter**3/second; m3/s; MQS; m^3/s, cubic metre per second, cubic meter per second
        m3/min; m³/min; meter**3/minute; m3/min; G53; m^3/min, cubic metre per minute
        m3/h; m³/h; meter**3/hour; m3/h; MQH; m^3/h, cmh, cubic metre per hour, cubic meter per hour
        m3/d; m³/d; meter**3/day; m3/d; G52; m^3/d, cubic metre per day
        gal/min; gal/min; gallon/minute; [gal_us]/min; G2; gpm, us gpm, gallons per minute
        gal/h; gal/h; gallon/hour; [gal_us]/h; G50; gph, gallons per hour
        ft3/min; ft³/min; foot**3/minute; [ft_i]3/min; 2L; cfm, ft^3/min, cubic foot per minute, cubic feet per minute
        ft3/h; ft³/h; foot**3/hour; [ft_i]3/h; 2K; cfh, ft^3/h
        """,
    "dynamic viscosity": """
        Pa.s; Pa·s; pascal*second; Pa.s; C65; Pa·s, Pa*s, pascal second
        mPa.s; mPa·s; millipascal*second; mPa.s; C24; mPa·s, mPa*s, millipascal second
        cP; cP; centipoise; cP; C7; centipoise
        """,
    "kinematic viscosity": """
        m2/s; m²/s; meter**2/second; m2/s; S4; m^2/s
        mm2/s; mm²/s; millimeter**2/second; mm2/s; C17; mm^2/s
        cSt; cSt; centistokes; cSt; 4C; centistokes
        """,
    "electric current": """
        A; A; ampere; A; AMP; ampere, amperes, amp, amps
        mA; mA; milliampere; mA; 4K; milliampere, milliamp, milliamps
        uA; µA; microampere; uA; B84; microampere
        kA; kA; kiloampere; kA; B22; kiloampere
        """,
    "electric charge": """
        coulomb; C; coulomb; ; COU; coulombs
        Ah; Ah; ampere_hour; A.h; AMH; ampere hour, A·h
        mAh; mAh; 1e-3*ampere_hour; mA.h; E09; milliampere hour, mA·h
        """,
    "voltage": """
        V; V; volt; V; VLT; volt, volts
        mV; mV; millivolt; mV; 2Z; millivolt, millivolts
        uV; µV; microvolt; uV; D82; microvolt
        kV; kV; kilovolt; kV; KVT; kilovolt, kilovolts
        """,
    "resistance": """
        ohm; Ω; ohm; Ohm; OHM; ohms
        kohm; kΩ; kiloohm; kOhm; B49; kiloohm
        Mohm; MΩ; megaohm; MOhm; B75; megaohm
        mohm; mΩ; milliohm; mOhm; E45; milliohm
        """,
    "conductance": """
        S; S; siemens; S; SIE; siemens
        mS; mS; millisiemens; mS; C27; millisiemens
        uS; µS; microsiemens; uS; B99; microsiemens
        """,
    "conductivity": """
        S/m; S/m; siemens/meter; S/m; D10; siemens per metre
        mS/cm; mS/cm; millisiemens/centimeter; mS/cm; H61; millisiemens per centimetre
        uS/cm; µS/cm; microsiemens/centimeter; uS/cm; G42; microsiemens per centimetre, microsiemens per centimeter
        """,
    "capacitance": """
        farad; F; farad; ; FAR; farads
        uF; µF; microfarad; uF; 4O; microfarad
        nF; nF; nanofarad; nF; C41; nanofarad
        pF; pF; picofarad; pF; 4T; picofarad
        """,
    "inductance": """
        H; H; henry; H; 81; henry
        mH; mH; millihenry; mH; C14; millihenry
        uH; µH; microhenry; uH; B90; microhenry
        """,
    "magnetic flux density": """
        T; T; tesla; T; D33; tesla
        mT; mT; millitesla; mT; C29; millitesla
        uT; µT; microtesla; uT; D81; microtesla
        """,
    "illuminance": """
        lx; lx; lux; lx; LUX; lux
        klx; klx; kilolux; klx; KLX; kilolux
        """,
    "luminous flux": """
        lm; lm; lumen; lm; LUM; lumen, lumens
        """,
    "luminous intensity": """
        cd; cd; candela; cd; CDL; candela
        """,
    "amount of substance": """
        mol; mol; mole; mol; C34; mole, moles
        mmol; mmol; millimole; mmol; C18; millimole
        kmol; kmol; kilomole; kmol; B45; kilomole
        """,
    "molar concentration": """
        mol/l; mol/l; mole/liter; mol/L; C38; mole per litre
        mmol/l; mmol/l; millimole/liter; mmol/L; M33; millimole per litre
        mol/m3; mol/m³; mole/meter**3; mol/m3; C36; mol/m^3
        """,
    "specific energy": """
        kJ/kg; kJ/kg; kilojoule/kilogram; kJ/kg; B42; kilojoule per kilogram
        MJ/kg; MJ/kg; megajoule/kilogram; MJ/kg; JK; megajoule per kilogram
        J/kg; J/kg; joule/kilogram; J/kg; J2; joule per kilogram
        """,
    "thermal transmittance": """
        W/m2K; W/(m²·K); watt/meter**2/kelvin; W/m2/K; D55; W/(m2.K), W/(m2·K), W/(m²·K)
        """,
    "temperature rate": """
        celsius/s; °C/s; delta_degree_Celsius/second; Cel/s; H14; degC/s
        celsius/min; °C/min; delta_degree_Celsius/minute; Cel/min; H13; degC/min
        celsius/h; °C/h; delta_degree_Celsius/hour; Cel/h; H12; degC/h
        kelvin/s; K/s; kelvin/second; K/s; F12;
        kelvin/min; K/min; kelvin/minute; K/min; F11;
        fahrenheit/min; °F/min; delta_degree_Fahrenheit/minute; [degF]/min; J24; degF/min
        """,
    "pressure rate": """
        bar/s; bar/s; bar/second; bar/s; ;
        bar/min; bar/min; bar/minute; bar/min; ;
        """,
    "information": """
        bit; bit; bit; bit; A99; bits
        B; B; byte; By; AD; byte, bytes
        kB; kB; kilobyte; kBy; 2P; kilobyte
        MB; MB; megabyte; MBy; 4L; megabyte
        GB; GB; gigabyte; GBy; E34; gigabyte
        """,
    "sound level": """
        dB; dB; ; dB; 2N; decibel, decibels
        """,
    "a-weighted sound level": """
        dBA; dB(A); ; ; ; db(a), dba
        """,
    "signal strength": """
        dBm; dBm; ; dB[mW]; ; rssi
        """,
    "acidity": """
        pH; pH; ; [pH]; Q30;
        """,
    "turbidity": """
        NTU; NTU; ; {NTU}; ; ntu, nephelometric turbidity unit, fnu
        """,
}
